"""Pages by key: every row once, there and back, whatever is added meanwhile; a page ends in time."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.items.filters import ItemFilter
from labeling.items.finding import items_page
from labeling.models import Comparison, Project, Resolution
from tests.factories import make_comparison
from tests.labeling.committed import committed
from tests.labeling.items.builders import mixed_project, slowly
from tests.labeling.label.factories import make_project as many_pairs

pytestmark = pytest.mark.django_db
FILTERS = [
    ItemFilter(),
    ItemFilter(state="open"),
    ItemFilter(outcome="a"),
    ItemFilter(outcome="a", language="en"),
    ItemFilter(q="化学"),
    ItemFilter(agreement_max=0.7),
    ItemFilter(outcome="none"),
    ItemFilter(score_min=0.0, topic="physics"),
]


@pytest.fixture(scope="module")
def mixed(django_db_setup, django_db_blocker):
    with committed(django_db_blocker):
        yield mixed_project(90).pk


@pytest.fixture
def project(mixed, db):
    return Project.objects.get(pk=mixed)


def ids(page) -> list[int]:
    return [row.pk for row in page.rows]


@pytest.mark.parametrize("few", [5000, 0], ids=["few", "many"])
@pytest.mark.parametrize("wanted", FILTERS, ids=lambda wanted: wanted.to_query() or "all")
def test_paging_to_the_end_and_back_gives_every_row_once(project, monkeypatch, wanted, few):
    monkeypatch.setattr("labeling.items.finding.FEW", few)
    monkeypatch.setattr("labeling.items.finding.WINDOWS", (9, 20))
    expected = slowly(project, wanted)[::-1]
    assert len(expected) > 7
    there, page, steps = [], items_page(project, wanted, size=7), 0
    assert page.newer is None
    while True:
        there += ids(page)
        make_comparison(project, state="open")  # newer than all: no page moves
        if page.older is None:
            break
        last, page, steps = page, items_page(project, wanted, before=page.older, size=7), steps + 1
        assert steps < 40
    assert there == expected
    back = items_page(project, wanted, after=page.newer, size=7) if page.newer else last
    while not back.rows and back.newer:
        back = items_page(project, wanted, after=back.newer, size=7)
    seen = set(ids(back))
    while back.newer is not None and steps < 90:
        back, steps = items_page(project, wanted, after=back.newer, size=7), steps + 1
        assert not seen & set(ids(back))
        seen |= set(ids(back))
    assert seen >= set(expected) - set(ids(page))


def test_a_page_ends_though_it_is_not_full_and_says_where_to_go_on(monkeypatch):
    """Two filters that leave many each, and nothing together but far behind."""
    monkeypatch.setattr("labeling.items.finding.FEW", 5)
    monkeypatch.setattr("labeling.items.finding.WINDOWS", (40, 60))
    project = many_pairs(400)
    rows = list(Comparison.objects.filter(project=project).order_by("pk"))
    Comparison.objects.filter(pk__in=[row.pk for row in rows[200:]]).update(state="done")
    Resolution.objects.bulk_create(
        Resolution(comparison=row, project=project, outcome="b", p_a=0) for row in rows[:203]
    )
    wanted = ItemFilter(state="done", outcome="none")
    page = items_page(project, wanted, size=10)
    assert len(page.rows) == 10
    assert not page.is_partial
    wanted = ItemFilter(state="done", outcome="b")
    expected = [row.pk for row in rows[202:199:-1]]
    found, steps, page = [], 0, items_page(project, wanted, size=10)
    while page.older:
        found, steps = found + ids(page), steps + 1
        assert page.is_partial
        page = items_page(project, wanted, size=10, before=page.older)
    assert found + ids(page) == expected
    assert steps > 0
    assert not page.is_partial
    assert page.older is None


def test_a_page_of_few_knows_how_many(project):
    page = items_page(project, ItemFilter(q="化学"), size=3)
    assert page.total == len(slowly(project, ItemFilter(q="化学")))
    assert items_page(project, ItemFilter(), size=3).total is None


@pytest.mark.parametrize("place", [{"before": 10**18}, {"after": 10**18}, {"before": 1}, {"after": 0}])
@pytest.mark.parametrize("wanted", FILTERS, ids=lambda wanted: wanted.to_query() or "all")
def test_places_beyond_the_ends_are_no_error(project, wanted, place):
    page = items_page(project, wanted, size=5, **place)
    assert len(page.rows) <= 5


def test_a_page_costs_the_same_statements_wherever_it_is(project):
    for wanted in FILTERS:
        numbers = set()
        for before in (None, *project.comparisons.order_by("-pk").values_list("pk", flat=True)[10:30:10]):
            with CaptureQueriesContext(connection) as captured:
                items_page(project, wanted, before=before, size=5)
            numbers.add(len(captured))
        assert max(numbers) <= 10, wanted
