"""Leasing without HTTP, in processes in which Django is set up: times in the database, and many people at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from labeling.models import Assignment, Comparison, ComparisonState, Labeler, Preference, Project
from labeling.services.allocation import lease_next, release_expired
from labeling.services.preferences import preference_submit

PROCESSES = 2
ABANDONED = 20  # one lease in so many is left to lapse


@dataclass
class Draws:
    """Seconds of each draw: in the database (the sum of its statements), and in all."""

    database_s: list[float] = field(default_factory=list)
    all_s: list[float] = field(default_factory=list)
    statements: int = 0


def time_draws(labeler: Labeler, number: int) -> Draws:
    """One comparison after the other is leased to a person and counts as labeled."""
    draws, spent = Draws(), [0.0]

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            spent[0] += time.perf_counter() - started
            draws.statements += 1

    for _ in range(number):
        spent[0], started = 0.0, time.perf_counter()
        with connection.execute_wrapper(watch):
            (lease,) = lease_next(labeler, count=1)
        draws.database_s.append(spent[0])
        draws.all_s.append(time.perf_counter() - started)
        Assignment.objects.filter(pk=lease.pk).update(state="submitted")
    return draws


def analyze() -> None:
    """Tell the database how large its tables have become, as PostgreSQL does by itself within a minute: plans that were
    made for empty tables read them from end to end."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


@dataclass(frozen=True)
class Crowd:
    """What is left to complain of after many people have labeled a project to its end."""

    labels: int
    too_many: int
    unfinished: int
    twice: int
    wall_s: float


def crowd(project: Project, clients: int, env: dict[str, str]) -> Crowd:
    """`clients` people in two processes label all of the project; one lease in twenty is left to lapse."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.label.crowd", project.slug, str(clients // PROCESSES)]
    workers = [
        subprocess.Popen([*command, str(number)], env={**os.environ, **env}) for number in range(PROCESSES)
    ]
    failed = [worker.wait() for worker in workers]
    if any(failed):
        raise RuntimeError(f"the processes of the crowd ended with {failed}")
    wall_s = time.perf_counter() - started
    rows = Comparison.objects.filter(project=project)
    found = Preference.objects.filter(project=project)
    return Crowd(
        labels=found.count(),
        too_many=sum(row.label_count > row.needed for row in rows.iterator()),
        unfinished=rows.exclude(
            state=ComparisonState.DONE, label_count=project.overlap, open_slots=0
        ).count(),
        twice=found.count() - found.values("comparison", "labeler").distinct().count(),
        wall_s=wall_s,
    )


def label_to_the_end(slug: str, clients: int, number: int) -> None:
    """One process of the crowd."""
    people = list(Labeler.objects.filter(project__slug=slug).order_by("pk"))
    own = people[number * clients : (number + 1) * clients]
    threading.stack_size(512 * 1024)
    with ThreadPoolExecutor(len(own)) as pool:
        list(pool.map(_label, own))


def _label(labeler: Labeler) -> None:
    try:
        idle = 0
        while idle < 3:
            connection.close()  # back to the pool, as between two requests: there are fewer connections than people
            leases = lease_next(labeler)
            if not leases:
                # What is in other hands may come back; whoever is abandoned is collected here as beat does it.
                idle += not release_expired()
                time.sleep(0.2)
                continue
            idle = 0
            lease = leases[0]
            if lease.pk % ABANDONED == 0 and lease.draft == {}:
                Assignment.objects.filter(pk=lease.pk).update(
                    lease_expires_at=lease.created_at, draft={"left": 1}
                )
                release_expired()
                continue
            preference_submit(assignment=lease, data={"choice": "3"}, idempotency_key=str(lease.uid))
    finally:
        connection.close()
