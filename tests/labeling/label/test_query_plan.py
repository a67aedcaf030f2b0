"""Every draw reads a few entries of an index: no scan of the table, no sort of it, however much the person has done."""

from __future__ import annotations

import json
import re

import pytest
from django.db import connection, transaction
from django.utils import timezone

from labeling.models import IN_QUEUE, Assignment, Batch, BatchPerson, Comparison, Labeler, Preference
from labeling.services.allocation import (
    by_priority,
    candidates,
    from_random_key,
    lease_end,
    lease_next,
    person_read,
)
from labeling.services.bookmark import all_of
from labeling.services.draws import _BATCH, _CHECKS, _RANDOM, _RANKED, checks, of_batch, queue_draws
from tests.labeling.label.factories import make_labeler, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def labeler():
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


def analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


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


def test_priority_draw_reads_the_queue_index(labeler):
    check(plan_of(by_priority(candidates(labeler))), "comparison_queue")


def test_random_draw_reads_the_random_index(labeler):
    check(plan_of(from_random_key(candidates(labeler), 0.37)), "comparison_random")


def test_a_batch_draw_reads_the_batchs_index(labeler):
    batch = Batch.objects.create(project=labeler.project, name="batch")
    BatchPerson.objects.create(batch=batch, labeler=labeler)
    Comparison.objects.filter(priority__lte=3000).update(batch=batch)
    analyze()
    check(plan_of(by_priority(of_batch(labeler, batch.pk))), "comparison_batch")


@pytest.mark.parametrize("use", ["gold", "qualification"])
def test_a_draw_of_checks_reads_their_index(labeler, use):
    Comparison.objects.filter(priority__lte=300).update(gold_outcome="a", use=use)
    analyze()
    check(plan_of(from_random_key(checks(labeler, use), 0.37)), "comparison_check")


# --- somebody with many own labels at the top, which others still want -----------------------------------------


@pytest.fixture(params=[True, False], ids=["one priority", "all different"])
def ahead(request, labeler) -> Labeler:
    """The person has labeled the first 3,000 of 6,000, the others of the fixture are still open for them."""
    if request.param:
        Comparison.objects.update(priority=0.0)
    top = by_priority(Comparison.objects.filter(IN_QUEUE)).exclude(assignments__labeler=labeler)[:3000]
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
        for comparison in top
    )
    analyze()
    lease = lease_next(labeler, count=1)[0]
    Assignment.objects.filter(pk=lease.pk).update(state="submitted")
    return person_read(labeler)


def test_the_bookmarks_draw_reads_the_queue_index(ahead):
    assert ahead.passed_id is not None
    for draw in queue_draws(ahead):
        plan = plan_of(draw.rows)
        # Within one priority the order is that of the ids: SQLite may begin right behind the bookmark's.
        check(plan, "(rowid>?)" if "(rowid>?)" in plan else "comparison_queue")


@pytest.mark.postgres
def test_postgres_touches_a_handful_of_rows_behind_3000_own_labels(ahead):
    touched = [rows_of(draw.rows[:1]) for draw in queue_draws(ahead)]
    assert sum(touched) <= 20
    assert rows_of(by_priority(candidates(ahead))[:1]) > 1000  # what it would be without the bookmark


def test_sqlite_steps_over_nothing_behind_3000_own_labels(ahead):
    """Counted by the database's own steps, on SQLite; PostgreSQL says it by EXPLAIN, above."""
    if connection.vendor != "sqlite":
        return
    connection.ensure_connection()
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    connection.connection.set_progress_handler(count, 100)
    try:
        found = next(row for draw in queue_draws(ahead) if (row := draw.rows.first()) is not None)
        behind = steps[0]
        steps[0] = 0
        assert by_priority(candidates(ahead)).first() == found
        whole = steps[0]
    finally:
        connection.connection.set_progress_handler(None, 0)
    assert behind * 20 < whole


def test_what_came_free_is_found_by_its_index(ahead):
    since = timezone.now()
    Comparison.objects.filter(priority__lte=20).update(freed_at=since)
    analyze()
    rows = candidates(ahead).filter(freed_at__isnull=False, freed_at__gt=ahead.passed_at)
    with transaction.atomic():
        plan = rows.order_by("freed_at").values_list("priority", "pk")[:10].explain()
    check(plan, "comparison_freed")


@pytest.mark.postgres
@pytest.mark.parametrize("index", ["queue", "random", "batch", "check"])
def test_a_plan_that_postgres_keeps_reads_the_same_index(labeler, index):
    """Without the values: what the server prepares once serves every person and project."""
    own = {"labeler": labeler.pk, "project": labeler.project_id}
    source, values = {
        "queue": (_RANKED[all_of], own),
        "random": (_RANDOM, own | {"start": 0.37}),
        "batch": (_BATCH, {"labeler": labeler.pk, "batch": 1}),
        "check": (_CHECKS["gold"], own | {"start": 0.37}),
    }[index]
    if index in ("batch", "check"):
        batch = Batch.objects.create(project=labeler.project, name="batch")
        Comparison.objects.filter(priority__lte=3000).update(batch=batch)
        Comparison.objects.filter(priority__gt=5700).update(gold_outcome="a", use="gold")
        analyze()
    check(generic_plan(source.kept, values), f"comparison_{index}")


@pytest.mark.postgres
def test_the_bookmarks_draws_read_the_queue_index_without_the_values(ahead):
    for draw in queue_draws(ahead):
        check(generic_plan(draw.source.kept, draw.values), "comparison_queue")


def generic_plan(kept, values) -> str:
    with transaction.atomic():
        kept.rows(**values)
        statement = kept._known()[0]
        numbers = iter(range(1, 20))
        text = re.sub("%[s%]", lambda place: "%" if place[0] == "%%" else f"${next(numbers)}", statement.sql)
        given = ", ".join(str(values[slot.name]) for slot in statement.places)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            cursor.execute(f"PREPARE kept AS {text}")
            cursor.execute(f"EXPLAIN EXECUTE kept ({given})")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            cursor.execute("DEALLOCATE kept")
    assert "$1" in plan  # else it was made for these values
    return plan


@pytest.mark.postgres
def test_postgres_touches_a_handful_of_rows(labeler):
    assert rows_of(by_priority(candidates(labeler))[:1]) <= 5


def rows_of(queryset) -> float:
    """The most rows that a node of the plan has given, on PostgreSQL; those that its filter removed, too."""
    plan = queryset.explain(analyze=True, buffers=True, format="json")

    def rows(node) -> float:
        own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        return max([own * node["Actual Loops"], *(rows(child) for child in node.get("Plans", []))])

    return rows(json.loads(plan)[0]["Plan"])
