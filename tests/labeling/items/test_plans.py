"""Among 8,000 comparisons no filter's page reads a table from end to end, and what is read in order is not sorted."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from labeling.items.conditions import conditions_of
from labeling.items.filters import CHAMPION, ItemFilter
from labeling.items.finding import _window, items_page
from labeling.models import Comparison, ItemFacet, Preference, Resolution, SearchText, Voice
from tests.factories import make_labeler
from tests.labeling.committed import analyze, committed
from tests.labeling.label.factories import make_project

pytestmark = pytest.mark.django_db
SIZE = 8_000
SCAN_POSTGRES = re.compile(r"Seq Scan on (labeling_\w+)")
SCAN_SQLITE = re.compile(r"\bSCAN (?!.*VIRTUAL TABLE|CONSTANT ROW|\(?subquery|json_each)(\S+)")


@pytest.fixture(scope="module")
def big(django_db_setup, django_db_blocker):
    """Two projects, so that a project's share is no reason to read all; values that half and that few have."""
    with committed(django_db_blocker):
        projects = [fill(make_project(SIZE)), fill(make_project(SIZE // 2))]
        analyze()
        yield projects[0]


def fill(project):
    rows = list(Comparison.objects.filter(project=project).order_by("pk"))
    people = [make_labeler(project, name) for name in ("often", "seldom")]
    now = timezone.now()

    def of(index: int, often: str, seldom: str) -> str:
        return often if index % 2 else seldom if index % 400 == 0 else "else"

    Resolution.objects.bulk_create(
        Resolution(
            comparison=row, project=project, outcome={"else": "b"}.get(said := of(i, "a", "tie"), said), p_a=0.5,
            votes_a=10, votes_b=0 if i % 2 else 1 + i % 10, is_disputed=i % 400 == 0,
        )
        for i, row in enumerate(rows)
    )  # fmt: skip
    Voice.objects.bulk_create(
        Voice(
            project=project, comparison=row, kind=kind, source=source, name=source, p_a=i / len(rows),
            outcome={"else": "b"}.get(said := of(i, "a", "tie"), said), value_a=i / len(rows), value_b=-i / len(rows),
        )
        for i, row in enumerate(rows)
        for kind, source in (("judge", "j"), ("model", CHAMPION))
    )  # fmt: skip
    ItemFacet.objects.bulk_create(
        ItemFacet(project=project, comparison=row, kind=kind, value=of(i, "often", "seldom"))
        for i, row in enumerate(rows)
        for kind in ("model", "language", "topic")
    )
    SearchText.objects.bulk_create(
        SearchText(
            project=project, prompt_id=row.prompt_id, words=f" {of(i, 'often', 'seldom')} w{i} 溶 溶解 "
        )
        for i, row in enumerate(rows)
    )
    Preference.objects.bulk_create(
        Preference(
            project=project, comparison=row, labeler=people[0 if i % 2 else 1], outcome="a", source="import",
            idempotency_key=str(i), request_hash="", created_at=now - timedelta(minutes=i),
        )
        for i, row in enumerate(rows)
        if i % 2 or i % 400 == 0
    )  # fmt: skip
    Comparison.objects.filter(pk__in=[row.pk for row in rows[::2]]).update(state="done")
    Comparison.objects.filter(pk__in=[row.pk for row in rows[::400]]).update(
        gold_outcome="a", use="gold", state="review"
    )
    return project


def plain(big):
    often, seldom = (big.labelers.get(name=name).uid for name in ("often", "seldom"))
    today = timezone.localdate()
    return {
        "all": ItemFilter(),
        "text, often": ItemFilter(q="often"),
        "text, seldom": ItemFilter(q="seldom 溶解"),
        "text, phrase": ItemFilter(q='"Question 17"'),
        "state": ItemFilter(state="open"),
        "state, seldom": ItemFilter(state="review"),
        "use": ItemFilter(use="gold"),
        "outcome": ItemFilter(outcome="a"),
        "outcome, seldom": ItemFilter(outcome="tie"),
        "not settled": ItemFilter(outcome="none"),
        "disputed": ItemFilter(disputed=True),
        "agreement": ItemFilter(agreement_min=0.9),
        "verdict": ItemFilter(judge="j", verdict="a"),
        "verdict, seldom": ItemFilter(judge="j", verdict="tie"),
        "any judge": ItemFilter(verdict="a"),
        "p": ItemFilter(p_min=0.5, p_max=0.501),
        "score": ItemFilter(score_min=0.999),
        "scores of half": ItemFilter(score_min=0.5),
        "model": ItemFilter(model="often"),
        "model, seldom": ItemFilter(model="seldom"),
        "topic": ItemFilter(topic="seldom"),
        "language": ItemFilter(language="often"),
        "labeler": ItemFilter(labeler=often),
        "labeler, seldom": ItemFilter(labeler=seldom),
        "days": ItemFilter(labeled_from=today - timedelta(days=1), labeled_to=today),
        "one person's days": ItemFilter(labeler=often, labeled_from=date(2020, 1, 1)),
        "several": ItemFilter(outcome="tie", judge="j", verdict="tie", model="seldom", labeler=seldom),
        "several that are often": ItemFilter(outcome="a", judge="j", verdict="a", model="often", q="often"),
    }


NAMES = (
    "all", "text, often", "text, seldom", "text, phrase", "state", "state, seldom", "use", "outcome", "outcome, seldom",
    "not settled", "disputed", "agreement", "verdict", "verdict, seldom", "any judge", "p", "score", "scores of half",
    "model", "model, seldom", "topic", "language", "labeler", "labeler, seldom", "days", "one person's days", "several",
    "several that are often",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_page_reads_a_table_from_end_to_end(big, monkeypatch, name):
    # As small against these tables as they are against a million rows.
    monkeypatch.setattr("labeling.items.finding.FEW", 100)
    monkeypatch.setattr("labeling.items.finding.WINDOWS", (40,) * 5)
    wanted = plain(big)[name]
    middle = big.comparisons.order_by("pk")[SIZE // 2].pk
    statements = []

    def keep(execute, sql, params, many, context):
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(keep):
        for place in ({}, {"before": middle}, {"after": middle}):
            items_page(big, wanted, **place)
    assert statements
    for sql, params in statements:
        plan = explained(sql, params)
        found = (SCAN_POSTGRES if connection.vendor == "postgresql" else SCAN_SQLITE).findall(plan)
        # A project has few labelers and few batches.
        assert set(found) <= {"labeling_labeler", "labeling_batch", "labeling_project"}, (
            f"{name}\n{sql}\n{plan}"
        )


def explained(sql: str, params) -> str:
    prefix = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    with connection.cursor() as cursor:
        cursor.execute(prefix + sql, params)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


def test_what_is_walked_in_order_is_not_sorted(big):
    walked = 0
    for name, wanted in plain(big).items():
        for condition in conditions_of(big, wanted):
            if condition.is_ordered:
                walked += 1
                for place, is_up in ((None, False), (10**9, False), (5, True)):
                    query = _window(condition.ids[0], place, is_up)[:41]
                    plan = query.explain()
                    assert "Sort" not in plan, f"{name}\n{plan}"
                    assert "TEMP B-TREE" not in plan, f"{name}\n{plan}"
    assert walked > 12
