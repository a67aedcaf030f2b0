"""Every draw reads a few entries of an index: no scan of the table, no sort of it, however much the person has done."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.utils import timezone

from labeling.models import (
    IN_QUEUE,
    Assignment,
    Batch,
    BatchPerson,
    Comparison,
    DrawnBy,
    Labeler,
    Preference,
)
from labeling.services.allocation import (
    by_priority,
    candidates,
    from_random_key,
    lease_end,
    lease_next,
    person_read,
)
from labeling.services.bookmark import Queue, freed_since
from labeling.services.draws import (
    RANDOM_TRIES,
    batch_queues,
    checks,
    common_queue,
    queue_draws,
    random_draws,
)
from tests.labeling.committed import analyze, committed
from tests.labeling.label.factories import make_labeler, make_project

pytestmark = pytest.mark.django_db
# Rows that a draw may look at, however many there are.
FEW = 20


@pytest.fixture(scope="module")
def busy(django_db_setup, django_db_blocker) -> Iterator[int]:
    """Somebody who has labeled 1,500 of 6,000."""
    with committed(django_db_blocker):
        yield busy_labeler().pk


@pytest.fixture
def labeler(busy, db) -> Labeler:
    return person_read(Labeler.objects.get(pk=busy))


def busy_labeler() -> Labeler:
    project = make_project(6000)
    labeler = make_labeler(project)
    busy = Comparison.objects.filter(project=project).order_by("priority")[:1500]
    now = timezone.now()
    Assignment.objects.bulk_create(
        Assignment(
            comparison=comparison,
            labeler=labeler,
            state="submitted",
            swapped=False,
            drawn="priority",
            lease_expires_at=lease_end(project, now),
        )
        for comparison in busy
    )
    Preference.objects.bulk_create(
        Preference(
            project=project,
            comparison=comparison,
            labeler=person,
            outcome="a",
            source="web",
            idempotency_key=f"{person.pk}:{comparison.pk}",
            request_hash="x",
            created_at=now,
        )
        for person in [labeler, *(make_labeler(project) for _ in range(12))]
        for comparison in busy
    )
    analyze()
    return labeler


def plan_of(queryset) -> str:
    with transaction.atomic():
        return queryset.select_for_update(skip_locked=True, no_key=True, of=("self",))[:1].explain()


def check(plan: str, index: str) -> None:
    assert index in plan, plan
    if connection.vendor == "postgresql":
        assert "Seq Scan" not in plan, plan
        assert "Sort" not in plan, plan
    else:
        assert "TEMP B-TREE" not in plan, plan
        assert "SCAN labeling_comparison" not in plan, plan


def work_of(queryset) -> float:
    """How much the database looks at for the first row. PostgreSQL: the most rows of one node of the plan that was
    run, given or removed by a filter. SQLite: its own steps, about 60 of which go into a row that is looked at."""
    if connection.vendor == "postgresql":
        return rows_of(queryset[:1])
    connection.ensure_connection()
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    connection.connection.set_progress_handler(count, 10)
    try:
        queryset.first()
    finally:
        connection.connection.set_progress_handler(None, 0)
    return steps[0] * 10 / 60


def rows_of(queryset) -> float:
    """The most rows that a node of the plan has given, on PostgreSQL; those that its filter removed, too."""
    plan = queryset.explain(analyze=True, buffers=True, format="json")

    def rows(node) -> float:
        removed = (value for name, value in node.items() if name.startswith("Rows Removed by"))
        own = node["Actual Rows"] + sum(removed)
        return max([own * node["Actual Loops"], *(rows(child) for child in node.get("Plans", []))])

    return rows(json.loads(plan)[0]["Plan"])


def test_priority_draw_reads_the_queue_index(labeler):
    rows = by_priority(candidates(labeler))
    check(plan_of(rows), "comparison_queue")
    assert work_of(rows) <= FEW


def test_random_draw_reads_the_random_index(labeler):
    for draw in random_draws(common_queue(labeler)):
        plan = plan_of(draw.rows)
        assert "comparison_random" in plan, plan
        assert "Seq Scan" not in plan, plan
        assert "SCAN labeling_comparison" not in plan, plan
        assert work_of(draw.rows) <= 4 * RANDOM_TRIES


def test_a_batch_draw_reads_the_batchs_index(labeler):
    batch = Batch.objects.create(project=labeler.project, name="batch")
    BatchPerson.objects.create(batch=batch, labeler=labeler)
    Comparison.objects.filter(priority__gt=1500, priority__lte=4500).update(batch=batch)
    analyze()
    [queue] = batch_queues(person_read(labeler))
    [rows] = [draw.rows for draw in queue_draws(DrawnBy.BATCH, queue)]
    check(plan_of(rows), "comparison_batch")
    assert work_of(rows) <= FEW


@pytest.mark.parametrize("use", ["gold", "qualification"])
def test_a_draw_of_checks_reads_their_index(labeler, use):
    Comparison.objects.filter(priority__gt=3000, priority__lte=3300).update(gold_outcome="a", use=use)
    analyze()
    rows = from_random_key(checks(labeler, use), 0.37)
    check(plan_of(rows), "comparison_check")
    assert work_of(rows) <= FEW


# --- somebody with many own labels at the top, which others still want -----------------------------------------


def label_ahead(labeler: Labeler, rows) -> None:
    now = timezone.now()
    Assignment.objects.bulk_create(
        Assignment(
            comparison=comparison,
            labeler=labeler,
            state="submitted",
            swapped=False,
            drawn="priority",
            lease_expires_at=now,
        )
        for comparison in rows
    )
    analyze()
    lease = lease_next(labeler, count=1)[0]
    Assignment.objects.filter(pk=lease.pk).update(state="submitted")


@pytest.fixture(params=[True, False], ids=["one priority", "all different"])
def ahead(request, labeler) -> Labeler:
    """The person has labeled the first 3,000 of 6,000, the others of the fixture are still open for them."""
    if request.param:
        Comparison.objects.update(priority=0.0)
    label_ahead(
        labeler, by_priority(Comparison.objects.filter(IN_QUEUE)).exclude(assignments__labeler=labeler)[:3000]
    )
    return person_read(labeler)


@pytest.fixture(params=[True, False], ids=["one priority", "all different"])
def ahead_in_batch(request, labeler) -> Labeler:
    """The person has labeled the first 3,000 of a batch of 4,000, of which another of its people has none."""
    if request.param:
        Comparison.objects.update(priority=0.0)
    batch = Batch.objects.create(project=labeler.project, name="batch")
    for person in (labeler, make_labeler(labeler.project)):
        BatchPerson.objects.create(batch=batch, labeler=person)
    free = by_priority(Comparison.objects.filter(IN_QUEUE)).exclude(assignments__labeler=labeler)[:4000]
    Comparison.objects.filter(pk__in=list(free.values_list("pk", flat=True))).update(batch=batch)
    label_ahead(labeler, by_priority(Comparison.objects.filter(batch=batch))[:3000])
    return person_read(labeler)


def test_the_bookmarks_draw_reads_the_queue_index(ahead):
    assert ahead.passed_id is not None
    for part in common_queue(ahead).behind():
        plan = plan_of(by_priority(part))
        # Within one priority the order is that of the ids: SQLite may begin right behind the bookmark's.
        check(plan, "(rowid>?)" if "(rowid>?)" in plan else "comparison_queue")


def test_a_handful_of_rows_is_touched_behind_3000_own_labels(ahead):
    touched = [work_of(draw.rows) for draw in queue_draws(DrawnBy.PRIORITY, common_queue(ahead))]
    assert sum(touched) <= FEW
    assert work_of(by_priority(candidates(ahead))) > 1000  # what it would be without the bookmark


def test_a_handful_of_rows_is_touched_behind_3000_own_labels_of_a_batch(ahead_in_batch):
    [queue] = batch_queues(ahead_in_batch)
    assert queue.has_bookmark
    for part in queue.behind():
        plan = plan_of(by_priority(part))
        check(plan, "(rowid>?)" if "(rowid>?)" in plan else "comparison_batch")
    assert sum(work_of(draw.rows) for draw in queue_draws(DrawnBy.BATCH, queue)) <= FEW
    assert work_of(by_priority(queue.rows)) > 1000


def test_a_random_draw_tries_few_rows_of_which_the_person_has_had_most(ahead):
    for start in (0.0, 0.37, 0.9):
        rows = next(random_draws(common_queue(ahead))).rows
        assert work_of(rows) <= 4 * RANDOM_TRIES, start
    Assignment.objects.bulk_create(
        Assignment(
            comparison=comparison,
            labeler=ahead,
            state="submitted",
            swapped=False,
            drawn="priority",
            lease_expires_at=timezone.now(),
        )
        for comparison in candidates(ahead)
    )
    analyze()
    nothing = [draw.rows for draw in random_draws(common_queue(ahead))]
    assert len(nothing) == 2
    for rows in nothing:
        assert rows.first() is None
        assert work_of(rows) <= 4 * RANDOM_TRIES
    assert work_of(from_random_key(candidates(ahead), 0.0)) > 1000  # what it would be to the end
    assert lease_next(ahead) == []
    assert (
        list(random_draws(common_queue(person_read(ahead)))) == []
    )  # the bookmark says that nothing is left


def check_freed(queue: Queue, index: str) -> None:
    top = by_priority(queue.standing)[:20].values_list("pk", flat=True)
    Comparison.objects.filter(pk__in=list(top)).update(freed_at=timezone.now())
    analyze()
    rows = queue.standing.filter(freed_since(queue.mark.passed_at)).order_by("freed_at")
    check(plan_of(rows), index)
    assert work_of(rows) <= FEW


def test_what_came_free_is_found_by_its_index(ahead):
    check_freed(common_queue(ahead), "comparison_freed")


def test_what_came_free_in_a_batch_is_found_by_its_index(ahead_in_batch):
    [queue] = batch_queues(ahead_in_batch)
    check_freed(queue, "comparison_batch_freed")
