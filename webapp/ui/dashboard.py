"""The operators' dashboard on the admin's first page: workers, queues, jobs, storage, labels.

The ground storey draws its own panels; those of the storeys above are named in settings.DASHBOARD_PANELS.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from webapp.jobs.beats import workers_alive
from webapp.jobs.models import Job, JobState
from webapp.ui.templatetags.figures import duration

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Panel:
    """A titled table of figures, with a chart where there is one. `tone` is "", "warn" or "bad"."""

    title: str | Promise
    head: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    note: str = ""
    tone: str = ""
    chart: SafeString | None = None


def workers_panel() -> Panel:
    rows = [
        (
            beat.name,
            beat.pid,
            ", ".join(beat.queues),
            timezone.localtime(beat.last_seen_at).strftime("%H:%M:%S"),
        )
        for beat in workers_alive()
    ]
    return Panel(
        _("Workers"),
        (_("worker"), _("process"), _("queues"), _("last seen")),
        rows,
        note=""
        if rows
        else _("No worker is running: jobs wait. Start one with “make run” or the compose file."),
        tone="" if rows else "bad",
    )


def queues_panel() -> Panel:
    """Waiting and running jobs of each queue, and how long the oldest has waited."""
    now = timezone.now()
    rows = (
        Job.objects.filter(state__in=[JobState.QUEUED, JobState.RUNNING])
        .values("queue")
        .annotate(
            waiting=Count("id", filter=Q(state=JobState.QUEUED)),
            running=Count("id", filter=Q(state=JobState.RUNNING)),
            oldest=Min("created_at", filter=Q(state=JobState.QUEUED)),
        )
        .order_by("queue")
    )
    table = [
        (
            r["queue"],
            r["waiting"],
            r["running"],
            duration((now - r["oldest"]).total_seconds() if r["oldest"] else None),
        )
        for r in rows
    ]
    return Panel(
        _("Queues"),
        (_("queue"), _("waiting"), _("running"), _("oldest waits")),
        table,
        note="" if table else _("Nothing waits and nothing runs."),
    )


def jobs_panel() -> Panel:
    """Jobs that ended in the last 24 hours, by kind."""
    ended = Job.objects.filter(finished_at__gte=timezone.now() - DAY)
    rows = (
        ended.values("kind")
        .annotate(
            done=Count("id", filter=Q(state=JobState.DONE)),
            failed=Count("id", filter=Q(state=JobState.FAILED)),
            cancelled=Count("id", filter=Q(state=JobState.CANCELLED)),
        )
        .order_by("kind")
    )
    table = [(r["kind"], r["done"], r["failed"], r["cancelled"]) for r in rows]
    failed = any(row[2] for row in table)
    return Panel(
        _("Jobs in 24 hours"),
        (_("kind"), _("done"), _("failed"), _("cancelled")),
        table,
        note="" if table else _("No job has ended in the last 24 hours."),
        tone="warn" if failed else "",
    )


def storage_panel() -> Panel:
    usage = shutil.disk_usage(settings.DATA_DIR)
    share = usage.free / usage.total
    gib = 2**30
    rows = [(str(settings.DATA_DIR), f"{usage.free / gib:.1f} GiB", f"{100 * share:.0f} %")]
    low = share < 0.05
    return Panel(
        _("Storage"),
        (_("folder"), _("free"), _("share free")),
        rows,
        note=_("The disk is nearly full: checkpoints and imports will fail.") if low else "",
        tone="bad" if low else "",
    )


def dashboard_context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    above: list[Callable[[], Panel]] = [import_string(name) for name in settings.DASHBOARD_PANELS]
    sources = [workers_panel, queues_panel, jobs_panel, *above, storage_panel]
    return {**context, "panels": [source() for source in sources]}
