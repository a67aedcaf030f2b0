"""Many people at once, on real connections: nobody gets a pair twice, none gets too many, all finish."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from labeling.models import (
    Assignment,
    Comparison,
    ComparisonState,
    Labeler,
    Preference,
    Project,
    Resolution,
)
from labeling.services import bookmark
from labeling.services.allocation import lease_next, release_expired
from labeling.services.batches import Choice, batch_create
from labeling.services.checks import checks_mark
from labeling.services.preferences import preference_submit
from labeling.services.projects import project_update
from tests.labeling.label.factories import make_labeler, make_project
from webapp.users.models import User

THREADS = 16
pytestmark = pytest.mark.django_db(transaction=True)


def in_threads(work, arguments):
    """Run `work` once for each argument, all starting together; every exception comes out."""
    barrier = threading.Barrier(len(arguments))

    def run(argument):
        try:
            barrier.wait(timeout=30)
            return work(argument)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(run, arguments))


def while_it_waits(deed: Callable[[], object], other: Callable[[], object]) -> tuple[object, object]:
    """Do `deed` and, before it is committed, begin `other`, which comes to wait for one of its locks (PostgreSQL).
    What both give."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            done = deed()
            waiting = pool.submit(in_threads, lambda _one: other(), [None])
            _wait_until_somebody_waits()
        return done, waiting.result(timeout=30)[0]


def _wait_until_somebody_waits() -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            # For this connection: other runs on the same server have waits of their own.
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            if cursor.fetchone() != (0,):
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a lock that is held here")


def label_everything(labeler: Labeler) -> list[int]:
    """Answer until nothing is left; every fifth lease is dropped and collected at once."""
    seen = []
    for turn in range(10_000):
        leases = lease_next(labeler)
        if not leases:
            return seen
        lease = leases[0]
        if turn % 5 == 4 and lease.draft.get("dropped") is None:
            Assignment.objects.filter(pk=lease.pk).update(
                lease_expires_at=lease.created_at, draft={"dropped": 1}
            )
            release_expired()
            continue
        seen.append(lease.comparison_id)
        preference_submit(assignment=lease, data={"choice": "3"}, idempotency_key=f"{lease.uid}")
    raise AssertionError("the queue never came to an end")


def test_sixteen_people_never_overallocate_and_all_finish():
    project = make_project(120, overlap=2, random_share=0.2)
    people = [make_labeler(project) for _ in range(THREADS)]
    seen = in_threads(label_everything, people)
    for own in seen:
        assert len(own) == len(set(own))
    counts = Counter(pk for own in seen for pk in own)
    assert set(counts.values()) == {2}
    assert len(counts) == 120
    rows = Comparison.objects.values_list("state", "label_count", "open_slots")
    assert set(rows) == {(ComparisonState.DONE, 2, 0)}
    assert set(Resolution.objects.values_list("votes_a", "votes_b")) <= {(2, 0), (1, 1), (0, 2)}


def test_a_crowd_with_gold_a_batch_and_a_bookmark_each(monkeypatch):
    """Overlap 2: nothing is given out twice to one person or once too often, and all of it is finished.

    64 people at once; 16 where one alone can write and the others' turn is a matter of luck.
    """
    monkeypatch.setattr(bookmark, "MOVE_SHARE", 0.2)
    project = make_project(150, overlap=2, random_share=0.2, gold_share=0.1)
    people = [make_labeler(project) for _ in range(64 if connection.vendor == "postgresql" else 16)]
    manager = User.objects.create_user("manager")
    known = list(Comparison.objects.order_by("priority").values_list("pk", flat=True)[:10])
    Comparison.objects.filter(pk__in=known).update(gold_outcome="a")
    checks_mark(project=project, comparison_ids=known, use="gold", actor=manager)
    for name in ("one", "two"):
        batch_create(
            project=project, name=name, people=people[:3], deadline=None, choice=Choice(20), actor=manager
        )
    seen = in_threads(label_everything, people)
    for own in seen:
        assert len(own) == len(set(own))
    work = Comparison.objects.exclude(use="gold").values_list("state", "label_count", "open_slots")
    assert set(work) == {(ComparisonState.DONE, 2, 0)}
    counts = Counter(pk for own in seen for pk in own if pk not in known)
    assert set(counts.values()) == {2}
    assert len(counts) == 140
    for row in Comparison.objects.filter(use="gold"):
        assert row.open_slots == row.needed - row.label_count


def test_two_tabs_of_one_person_lease_two_not_four():
    project = make_project(50)
    labeler = make_labeler(project)
    found = in_threads(lambda _: [lease.pk for lease in lease_next(labeler)], range(8))
    assert Assignment.objects.filter(labeler=labeler).count() == 2
    assert {tuple(sorted(leases)) for leases in found} == {
        tuple(Assignment.objects.values_list("pk", flat=True))
    }


def test_the_same_submit_fifty_times_in_parallel_is_one_row():
    project = make_project(1, overlap=2)
    lease = lease_next(make_labeler(project))[0]

    def send(_):
        row = preference_submit(
            assignment=lease, data={"choice": "2", "duration_ms": 900}, idempotency_key="same"
        )
        return row.pk

    assert len(set(in_threads(send, range(50)))) == 1
    assert Preference.objects.count() == 1
    assert Comparison.objects.get().label_count == 1


def test_collecting_from_many_places_gives_each_slot_back_once():
    project = make_project(60, overlap=3)
    people = [make_labeler(project) for _ in range(3)]
    for person in people:
        lease_next(person, count=60)
    end = Assignment.objects.order_by("-lease_expires_at").first().lease_expires_at
    released = in_threads(lambda _: release_expired(end), range(8))
    while more := release_expired(end):
        released.append(more)
    assert sum(released) == 180
    assert set(Comparison.objects.values_list("open_slots", flat=True)) == {3}


def test_an_overlap_lowered_under_people_at_work_is_never_exceeded_again():
    """While the overlap goes down, some skip and some let their lease lapse; what was given out by then may
    be too much, but nothing is added to it."""
    project = make_project(40, overlap=3, skip_limit=0)
    people = [make_labeler(project) for _ in range(THREADS)]
    manager = User.objects.create_user("manager")

    def work(turn):
        if turn == 0:
            project_update(project=Project.objects.get(pk=project.pk), actor=manager, overlap=1)
            return
        labeler = people[turn]
        for number, lease in enumerate(lease_next(labeler, count=6)):
            if (turn + number) % 3 == 0:
                answer = {"choice": "skip", "skip_reason": "unclear"}
                preference_submit(assignment=lease, data=answer, idempotency_key=str(lease.uid))
            elif (turn + number) % 3 == 1:
                Assignment.objects.filter(pk=lease.pk).update(lease_expires_at=lease.created_at)
                release_expired()
        lease_next(labeler, count=6)

    in_threads(work, range(THREADS))
    assert Assignment.objects.filter(state="leased").exists()
    for row in Comparison.objects.all():
        leases = row.assignments.filter(state="leased").count()
        assert row.needed == 1
        assert row.open_slots == max(0, row.needed - row.label_count - leases)
