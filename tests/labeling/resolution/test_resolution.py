"""Majority resolution: the rule, its soft label, revisions, adjudication, cost."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from labeling.models import Comparison, Resolution
from labeling.selectors.preferences import latest_preferences
from labeling.services.resolution import Tally, resolve_comparisons
from tests.labeling.resolution.builders import (
    labeled_project,
    make_comparison,
    make_labeler,
    make_project,
    make_prompt,
    vote,
)

OUTCOMES = ("a", "b", "tie", "both_bad")


def tally_of(votes: list[str]) -> Tally:
    return Tally(votes=dict(Counter(votes)))


@pytest.mark.parametrize(
    ("votes", "outcome", "p_a", "disputed"),
    [
        (["a"], "a", 1.0, False),
        (["b", "b", "a"], "b", 1 / 3, True),
        (["a", "b"], "tie", 0.5, True),
        (["a", "tie"], "tie", 0.75, False),
        (["tie"], "tie", 0.5, False),
        (["both_bad", "both_bad", "a"], "both_bad", 2 / 3, False),
        (["a", "a", "b", "b", "both_bad"], "tie", 0.5, True),
        (["both_bad", "tie"], "tie", 0.5, False),
    ],
)
def test_the_rule(votes, outcome, p_a, disputed):
    tally = tally_of(votes)
    assert tally.outcome == outcome
    assert tally.p_a == pytest.approx(p_a)
    assert tally.is_disputed is disputed


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=9))
def test_swapping_the_responses_mirrors_the_outcome(votes):
    mirror = {"a": "b", "b": "a"}
    tally, swapped = tally_of(votes), tally_of([mirror.get(vote, vote) for vote in votes])
    assert swapped.outcome == mirror.get(tally.outcome, tally.outcome)
    assert swapped.p_a == pytest.approx(1 - tally.p_a)
    assert swapped.is_disputed == tally.is_disputed


@given(st.permutations(["a", "a", "b", "tie", "both_bad", "b"]))
def test_the_order_of_votes_does_not_matter(votes):
    assert tally_of(votes).outcome == "tie"


@pytest.fixture
def comparison(db):
    return make_comparison(make_prompt(make_project()))


def people(comparison, count):
    return [make_labeler(comparison.project) for _ in range(count)]


def test_only_the_latest_revision_counts_and_an_undo_takes_the_vote_back(comparison):
    one, two, three = people(comparison, 3)
    vote(comparison, one, "a", strength=4)
    vote(comparison, one, "b", strength=1)
    vote(comparison, two, "b", strength=2)
    vote(comparison, three, "a")
    vote(comparison, three, "withdrawn")
    resolve_comparisons([comparison.pk])
    row = Resolution.objects.get(comparison=comparison)
    assert (row.outcome, row.p_a, row.votes_a, row.votes_b) == ("b", 0.0, 0, 2)
    assert row.strength == 1.5
    assert not row.is_disputed


def test_skips_and_undone_votes_are_left_out_unless_asked_for(comparison):
    one, two, three = people(comparison, 3)
    vote(comparison, one, "a")
    vote(comparison, one, "skip")
    vote(comparison, two, "a")
    vote(comparison, two, "withdrawn")
    vote(comparison, three, "tie")
    scope = comparison.project
    assert [row.outcome for row in latest_preferences(scope)] == ["tie"]
    assert {row.outcome for row in latest_preferences(scope, with_skips=True)} == {"skip", "tie"}
    everything = latest_preferences(scope, with_skips=True, with_withdrawn=True)
    assert {row.outcome for row in everything} == {"skip", "withdrawn", "tie"}


def test_a_bound_hides_later_revisions(comparison):
    [one] = people(comparison, 1)
    first = vote(comparison, one, "a")
    vote(comparison, one, "b")
    assert [row.outcome for row in latest_preferences([comparison.pk], up_to=first.pk)] == ["a"]


def test_without_votes_the_row_goes(comparison):
    [one] = people(comparison, 1)
    vote(comparison, one, "a")
    resolve_comparisons([comparison.pk])
    vote(comparison, one, "withdrawn")
    resolve_comparisons([comparison.pk])
    assert not Resolution.objects.filter(comparison=comparison).exists()


def test_an_adjudication_stays_and_its_counts_follow(comparison):
    one, two = people(comparison, 2)
    Resolution.objects.create(
        comparison=comparison, project=comparison.project, outcome="a", p_a=1.0, method="adjudicated"
    )
    vote(comparison, one, "b")
    vote(comparison, two, "b")
    resolve_comparisons([comparison.pk])
    row = Resolution.objects.get(comparison=comparison)
    assert (row.outcome, row.p_a, row.method, row.votes_b) == ("a", 1.0, "adjudicated", 2)


def test_doing_it_again_writes_nothing(db):
    project = labeled_project(5)
    before = list(Resolution.objects.order_by("pk").values())
    with CaptureQueriesContext(
        connection,
    ) as queries:
        resolve_comparisons(Comparison.objects.filter(project=project).values_list("pk", flat=True))
    assert list(Resolution.objects.order_by("pk").values()) == before
    assert not [
        query for query in queries.captured_queries if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))
    ]


@pytest.mark.parametrize("size", [3, 40])
def test_the_number_of_queries_does_not_grow_with_the_comparisons(db, size):
    project = labeled_project(size, outcomes="aabbtx")
    ids = list(Comparison.objects.filter(project=project).values_list("pk", flat=True))
    Resolution.objects.all().delete()
    with CaptureQueriesContext(connection) as queries:
        resolve_comparisons(ids)
    statements = [query["sql"] for query in queries.captured_queries if "SAVEPOINT" not in query["sql"]]
    assert len(statements) == 4, statements  # lock, tallies, present rows, upsert
    assert Resolution.objects.count() == size
