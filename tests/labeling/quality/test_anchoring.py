"""How often a vote changes after its labeler has seen the other voices, counted by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.models import Comparison, Reveal, Voice
from labeling.selectors.anchoring import Anchoring, Moves, project_anchoring
from tests.factories import make_comparison, make_labeler, make_preference, make_team

pytestmark = pytest.mark.django_db
START = timezone.now() - timedelta(hours=1)


@pytest.fixture
def team():
    return make_team()


def say(comparison: Comparison, labeler, outcomes, *, seen_after: int | None):
    """Revisions a minute apart, (outcome, strength) each; the voices are seen after the one with this number."""
    for number, (outcome, strength) in enumerate(outcomes, start=1):
        make_preference(
            comparison, labeler, outcome, strength=strength, revision=number,
            created_at=START + timedelta(minutes=number),
        )  # fmt: skip
    if seen_after is not None:
        reveal = Reveal.objects.create(user=labeler.user, comparison=comparison)
        Reveal.objects.filter(pk=reveal.pk).update(
            created_at=START + timedelta(minutes=seen_after, seconds=30)
        )


def test_votes_that_changed_after_the_reveal_by_hand(team):
    labeler, project = make_labeler(team.project, user=team.labeler), team.project
    cases = [
        ([("a", 2)], 1),  # stays
        ([("a", 2), ("b", 1)], 1),  # changes: away from a judge that says a, towards the model that says b
        ([("a", 2), ("a", 4)], 1),  # says it more strongly
        ([("tie", None), ("a", 1)], 1),  # changes, towards the judge
        ([("b", 1), ("a", 1)], 2),  # changed before the voices were seen: stays
        ([("a", 2), ("withdrawn", None), ("b", 2)], 1),  # undone and said anew: changes
        ([("a", 2), ("b", 2)], None),  # never saw the voices
        ([("a", 1)], 0),  # saw them before the vote
        ([("skip", None), ("a", 1)], 1),  # had not voted
    ]
    comparisons = []
    for outcomes, seen in cases:
        comparison = make_comparison(project)
        say(comparison, labeler, outcomes, seen_after=seen)
        comparisons.append(comparison)
    for number, kind, outcome, p_a in (
        (1, "judge", "a", 0.9),
        (1, "model", "b", None),
        (3, "judge", "a", 0.9),
        (3, "model", "tie", 0.5),
        (5, "judge", "", None),
    ):
        Voice.objects.create(
            project=project, comparison=comparisons[number], kind=kind, source="x", name="x", outcome=outcome,
            p_a=p_a,
        )  # fmt: skip
    found = project_anchoring(project)
    assert found.shown == 6
    assert (found.changed.value, found.changed.n) == (pytest.approx(3 / 6), 6)
    assert found.regraded.value == pytest.approx(1 / 6)
    assert found.changed.low < found.changed.value < found.changed.high
    assert found.judges == Moves(n=2, towards=1, away=1)
    assert found.model == Moves(n=2, towards=1, away=1)


def test_without_reveals_there_is_nothing_to_say(team):
    make_preference(make_comparison(team.project), make_labeler(team.project, user=team.labeler))
    assert project_anchoring(team.project) == Anchoring()


def test_another_persons_reveal_is_not_ones_own(team):
    labeler, comparison = make_labeler(team.project, user=team.labeler), make_comparison(team.project)
    say(comparison, labeler, [("a", 2), ("b", 2)], seen_after=None)
    Reveal.objects.create(user=team.manager, comparison=comparison)
    assert project_anchoring(team.project).shown == 0
    Reveal.objects.create(user=team.labeler, comparison=comparison)
    assert project_anchoring(team.project).shown == 1  # at once, without a newer vote


def test_it_costs_the_same_for_one_vote_and_for_many(team, django_assert_num_queries):
    labeler = make_labeler(team.project, user=team.labeler)
    for _ in range(12):
        comparison = make_comparison(team.project)
        say(comparison, labeler, [("a", 2), ("b", 2)], seen_after=1)
    with django_assert_num_queries(4):
        assert project_anchoring(team.project).changed.value == 1.0
