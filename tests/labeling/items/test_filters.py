"""Each filter, and filters together, keep what a slow look keeps; what cannot be read is refused."""

from __future__ import annotations

import itertools
from datetime import date
from uuid import uuid4

import pytest

from labeling.items.filters import (
    CHAMPION,
    ItemFilter,
    ItemFilterError,
    filter_from_json,
    filter_from_text,
)
from labeling.items.finding import items_found, items_page
from tests.labeling.items.builders import JUDGES, found, labeler, mixed_project, read_all, slowly

pytestmark = pytest.mark.django_db
EACH = {
    "q": "化学",
    "state": "open",
    "outcome": "tie",
    "not settled": {"outcome": "none"},
    "disputed": True,
    "agreement_max": 0.6,
    "agreement_min": 0.6,
    "judge": JUDGES[0],
    "verdict": "a",
    "judge's verdict": {"judge": JUDGES[1], "verdict": "b"},
    "unread": {"judge": JUDGES[0], "verdict": "unread"},
    "the model's verdict": {"judge": CHAMPION, "verdict": "b"},
    "p": {"p_min": 0.3, "p_max": 0.6},
    "score_min": 1.5,
    "score": {"score_min": -1.0, "score_max": -0.5},
    "model": "alpha-7b",
    "language": "zh",
    "topic": "physics",
    "labeler": "Bo",
    "labeled": {"labeled_from": date(2026, 3, 3), "labeled_to": date(2026, 3, 5)},
    "Li last week": {"labeler": "Cy", "labeled_from": date(2026, 3, 6)},
    "use": "gold",
    "work": {"use": "work"},
}


@pytest.fixture
def project(db):
    return mixed_project(70)


def as_filter(project, *names) -> ItemFilter:
    fields = {}
    for name in names:
        value = EACH[name]
        fields |= value if isinstance(value, dict) else {name: value}
    if isinstance(fields.get("labeler"), str):
        fields["labeler"] = labeler(project, fields["labeler"]).uid
    return ItemFilter(**fields)


def test_each_filter_and_every_two_of_them(project, monkeypatch):
    """Each by the index and row by row; two together by either in turn."""
    mixed_project(10, seed=9)  # somebody else's
    rows = read_all(project)
    for few in (0, 5000):
        monkeypatch.setattr("labeling.items.finding.FEW", few)
        for name in EACH:
            wanted = as_filter(project, name)
            expected = slowly(project, wanted, rows)
            assert 0 < len(expected) < len(rows), name
            assert found(project, wanted) == expected, name
            assert items_found(project, wanted).count() == len(expected), name
    met = 0
    for number, names in enumerate(itertools.combinations(EACH, 2)):
        monkeypatch.setattr("labeling.items.finding.FEW", 5000 * (number % 2))
        wanted = as_filter(project, *names)
        expected = slowly(project, wanted, rows)
        assert found(project, wanted) == expected, names
        met += bool(expected)
    assert met > 120


def test_all_filters_of_the_journey_together(project):
    wanted = as_filter(project, "q", "Li last week", "judge", "model")
    assert found(project, wanted) == slowly(project, wanted)
    some = slowly(project, as_filter(project, "state"))[:3]
    assert found(project, ItemFilter(ids=tuple(some), state="open")) == some
    assert found(project, ItemFilter(ids=tuple(some), state="retired")) == []


def test_a_filter_comes_back_from_json_and_from_an_address(project):
    for name in EACH:
        wanted = as_filter(project, name)
        assert filter_from_json(wanted.to_json()) == wanted
        assert filter_from_text(wanted.to_text()) == wanted
        assert not wanted.is_empty
    assert ItemFilter().to_query() == ""
    assert ItemFilter(disputed=True, q="溶 &").to_query() == "q=%E6%BA%B6+%26&disputed=on"
    assert filter_from_json({"ids": [3, 1, 3], "score_min": 0}) == ItemFilter(ids=(1, 3), score_min=0.0)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"stat": "open"}, "stat"),
        ({"password__startswith": "x"}, "password__startswith"),
        ({"state": "lost"}, "state"),
        ({"agreement_min": 1.2}, "agreement_min"),
        ({"agreement_min": 0.9, "agreement_max": 0.1}, "agreement_max"),
        ({"labeled_from": "2026-03-09", "labeled_to": "2026-03-01"}, "labeled_to"),
        ({"p_min": "nan"}, "p_min"),
        ({"score_min": "1e999"}, "score_min"),
        ({"labeler": "Bo"}, "labeler"),
        ({"labeled_from": 5}, "labeled_from"),
        ({"labeled_from": []}, None),
        ({"ids": "1,x"}, "ids"),
        ({"ids": "²"}, "ids"),
        ({"ids": list(range(201))}, "ids"),
        ({"q": "\x00"}, "q"),
        ({"q": "x" * 201}, "q"),
        ({"\ud800": "x"}, "\\ud800"),
    ],
)
def test_what_cannot_be_read_is_refused_by_field(data, field):
    if field is None:
        assert filter_from_json(data).is_empty
        return
    with pytest.raises(ItemFilterError) as refused:
        filter_from_json(data)
    assert set(refused.value.problems) == {field}
    assert all(text for text in refused.value.problems[field])


@pytest.mark.parametrize("text", ["[]", "null", "{", "7", '"x"', "[" * 100_000])
def test_text_that_is_no_filter_is_refused(text):
    with pytest.raises(ItemFilterError):
        filter_from_text(text)


def test_nobody_and_nothing_of_another_project_is_found(project):
    other = mixed_project(10, seed=3)
    assert found(project, ItemFilter(labeler=labeler(other, "Ann").uid)) == []
    assert found(project, ItemFilter(labeler=uuid4())) == []
    theirs = other.comparisons.first().pk
    assert found(project, ItemFilter(ids=(theirs,))) == []
    assert items_page(project, ItemFilter(ids=(theirs,))).rows == []
