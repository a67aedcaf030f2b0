"""The next-comparison query reads a few entries of an index: no scan of the table, no sort of it."""

from __future__ import annotations

import json

import pytest
from django.db import connection, transaction
from django.utils import timezone

from labeling.models import Assignment, Comparison, Preference
from labeling.services.allocation import by_priority, candidates, from_random_key, lease_end
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
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
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


def test_priority_draw_reads_the_queue_index(labeler):
    check(plan_of(by_priority(candidates(labeler))), "comparison_queue")


def test_random_draw_reads_the_random_index(labeler):
    check(plan_of(from_random_key(candidates(labeler), 0.37)), "comparison_random")


@pytest.mark.postgres
def test_postgres_touches_a_handful_of_rows(labeler):
    queryset = by_priority(candidates(labeler))[:1]
    plan = queryset.explain(analyze=True, buffers=True, format="json")

    def rows(node) -> float:
        own = node["Actual Rows"] * node["Actual Loops"]
        return max([own, *(rows(child) for child in node.get("Plans", []))])

    assert rows(json.loads(plan)[0]["Plan"]) <= 5
