"""Sizes of disagreements, by hand."""

from __future__ import annotations

import pytest

from labeling.disagreement import LEAST, Said, Standing, sizes


def judge(outcome: str, p_a: float | None = None) -> Said:
    return Said("judge", outcome, p_a)


@pytest.mark.parametrize(
    ("votes", "size"), [((1, 1), 1.0), ((2, 1), 2 / 3), ((3, 1), 0.5), ((9, 1), 0.2), ((2, 0), None)]
)
def test_people_are_farthest_apart_where_they_are_even(votes, size):
    found = sizes(Standing(votes_a=votes[0], votes_b=votes[1]))
    assert found == ({} if size is None else {"people": pytest.approx(size)})


def test_a_judge_counts_by_its_distance_from_the_people_and_the_farthest_one_alone():
    people = {"votes_a": 2, "outcome": "a", "p_a": 1.0}
    assert sizes(Standing(**people, voices=(judge("b", 0.3), judge("b", 0.1), judge("a", 0.9)))) == {
        "judge": pytest.approx(0.9),
        "judges": pytest.approx(0.8),
    }


def test_without_a_share_an_outcome_is_worth_one_half_or_nothing():
    assert Said("judge", "a").share == 1.0
    assert Said("judge", "tie").share == 0.5
    assert Said("judge", "b").share == 0.0
    assert sizes(Standing(votes_b=1, outcome="b", p_a=0.0, voices=(judge("a"),))) == {"judge": 1.0}


def test_a_tie_names_no_winner_and_an_unread_verdict_is_no_voice():
    assert sizes(Standing(outcome="tie", p_a=0.5, voices=(judge("a", 0.9),))) == {}
    assert sizes(Standing(outcome="a", p_a=1.0, voices=(judge("tie", 0.5), judge("", 0.2)))) == {}
    assert sizes(Standing(voices=(judge("a", 0.9), judge("", 0.1), judge("tie", 0.5)))) == {}


def test_judges_and_models_are_apart():
    model = Said("model", "b", 0.2)
    assert sizes(Standing(outcome="a", p_a=0.75, voices=(model, judge("a", 0.8)))) == {
        "model": pytest.approx(0.55)
    }


def test_voices_before_any_vote_disagree_with_each_other_alone():
    assert sizes(Standing(voices=(judge("a", 0.6), judge("b", 0.4), Said("model", "a", 0.9)))) == {
        "judges": pytest.approx(0.2)
    }


def test_other_winners_are_never_nothing():
    assert sizes(Standing(outcome="a", p_a=0.5, voices=(judge("b", 0.5),))) == {"judge": LEAST}


@pytest.mark.parametrize(("skipped", "size"), [(1.0, 1.0), (2.5, 1.0), (0.5, 0.5)])
def test_skips_count_by_the_limit(skipped, size):
    assert sizes(Standing(skipped=skipped)) == {"skipped": size}
