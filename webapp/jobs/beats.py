"""Which workers are alive, as rows: the operators' dashboard needs no broker to know."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from webapp.jobs.models import WorkerBeat

ALIVE_S = 35
FORGET = timedelta(days=1)


def beat_record(*, name: str, pid: int, queues: list[str]) -> None:
    """This worker lives; rows silent for a day are dropped."""
    WorkerBeat.objects.update_or_create(
        name=name, pid=pid, defaults={"queues": queues, "last_seen_at": Now()}
    )
    WorkerBeat.objects.filter(last_seen_at__lt=Now() - FORGET).delete()


def beat_remove(*, name: str, pid: int) -> None:
    """This worker ends in good order."""
    WorkerBeat.objects.filter(name=name, pid=pid).delete()


def workers_alive() -> QuerySet[WorkerBeat]:
    """Workers heard of in the last 35 seconds."""
    return WorkerBeat.objects.filter(last_seen_at__gte=Now() - timedelta(seconds=ALIVE_S)).order_by(
        "name", "pid"
    )
