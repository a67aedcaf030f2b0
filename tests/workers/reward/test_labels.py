"""Votes become soft labels; ties are told from split votes, in training and in what a model answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from workers.reward import DataError, Vote, evaluate, outcome_probabilities, pool_votes, vote_posterior
from workers.reward.calibration import fit_temperature
from workers.reward.metrics import log_loss
from workers.reward.predict import outcome_log_probabilities

from .builders import planted_pairs

PAIR = planted_pairs(1)[0]


def test_reliability_weighted_votes_have_their_hand_computed_shares():
    label = pool_votes([Vote("chosen", 1.0), Vote("rejected", 0.5), Vote("tie", 0.5)])
    assert label == (pytest.approx(0.625), pytest.approx(0.25), pytest.approx(2.0))
    assert pool_votes([Vote("chosen"), Vote("chosen"), Vote("rejected")]) == (pytest.approx(2 / 3), 0.0, 3.0)
    assert pool_votes([Vote("rejected"), Vote("chosen", 0.0)]) == (0.0, 0.0, 1.0)
    pooled = dataclasses.replace(PAIR, **label._asdict())  # what comes out is what a pair takes in
    assert pooled.tie_share == pytest.approx(0.25)


def test_balanced_votes_are_a_tie_in_whatever_order_they_are_added():
    rng = np.random.default_rng(0)
    for _ in range(500):
        reliabilities = rng.uniform(0.5, 1.0, 4)
        sides = [Vote(side, float(r)) for r in reliabilities for side in ("chosen", "rejected")]
        votes = [sides[i] for i in rng.permutation(len(sides))]
        assert vote_posterior(votes) == 0.5
        label = pool_votes(votes)
        pooled = dataclasses.replace(PAIR, **label._asdict())
        assert pooled.p_chosen == label.p_chosen == 0.5
        assert pooled.is_tie
    off = dataclasses.replace(
        PAIR, p_chosen=float(np.nextafter(0.5, 1.0))
    )  # as a file or the app may have it
    assert off.is_tie
    assert evaluate([1.0], [0.0], [off]).ties == 1
    assert not dataclasses.replace(PAIR, p_chosen=0.5 + 1e-8).is_tie


@pytest.mark.parametrize(
    "votes", [[], [Vote("chosen", 0.0)], [Vote("tie", -1.0)], [Vote("tie", float("inf"))]]
)
def test_votes_without_weight_are_refused(votes):
    with pytest.raises(DataError):
        pool_votes(votes)


def test_the_posterior_has_its_hand_computed_values():
    # Odds 4 for chosen against 1.5 for rejected: 8/3, so 8/11.
    assert vote_posterior([Vote("chosen", 0.8), Vote("rejected", 0.6)]) == pytest.approx(8 / 11)
    assert vote_posterior([]) == 0.5
    assert vote_posterior([Vote("tie", 0.9), Vote("chosen", 0.5)]) == 0.5
    assert vote_posterior([Vote("chosen", 0.25)]) == pytest.approx(0.25)
    for wrong in (0.0, 1.0):
        with pytest.raises(DataError, match="reliability"):
            vote_posterior([Vote("chosen", wrong)])


def test_a_tie_is_told_from_split_votes():
    half = dataclasses.replace(PAIR, p_chosen=0.5)
    assert half.is_tie
    assert half.tie_share == 1.0  # nobody counted: one half is a tie
    assert dataclasses.replace(half, p_tie=0.0).tie_share == 0.0
    assert dataclasses.replace(PAIR, p_chosen=0.75).tie_share == 0.0
    assert dataclasses.replace(PAIR, p_chosen=0.75, p_tie=0.5).tie_share == 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"p_tie": 0.1},  # all votes were for chosen
        {"p_chosen": 0.75, "p_tie": 0.6},
        {"p_chosen": 0.5, "p_tie": -0.1},
        {"p_chosen": 0.5, "p_tie": float("nan")},
        {"ratings_chosen": {"help": float("nan")}},
        {"ratings_rejected": {"help": float("inf")}},
    ],
)
def test_a_pair_refuses_ties_and_ratings_that_cannot_be(wrong):
    with pytest.raises(DataError):
        dataclasses.replace(PAIR, **wrong)


def test_outcome_probabilities_have_their_hand_computed_values():
    found = outcome_probabilities([[0.0], [np.log(4.0)]], [[0.0], [0.0]], 1.0, 2.0)
    np.testing.assert_allclose(found, [[1 / 3, 1 / 3, 1 / 3], [2 / 3, 2 / 9, 1 / 9]])
    two_heads = outcome_probabilities([0.0, np.log(4.0)], [0.0, 0.0], 1.0, 2.0)
    np.testing.assert_allclose(two_heads, [1 / 2, 5 / 18, 2 / 9])
    np.testing.assert_allclose(
        outcome_probabilities([2.0], [0.0], 2.0, 3.0), outcome_probabilities([1.0], [0.0], 1.0, 3.0)
    )
    far = outcome_log_probabilities([1e4, -1e4], 1.5)
    assert np.isfinite(far).all()
    np.testing.assert_allclose(np.exp(far).sum(axis=-1), 1.0)
    for heads, temperature, threshold in (([0.0, 1.0], 1.0, 2.0), ([0.0], 0.0, 2.0), ([0.0], 1.0, 1.0)):
        with pytest.raises(ValueError):
            outcome_probabilities(heads, [0.0], temperature, threshold)


def test_log_loss_over_three_outcomes_has_its_hand_computed_value():
    found = log_loss([np.log(4.0), 0.0], [0.7, 0.5], 1.0, p_tie=[0.4, 1.0], tie_threshold=2.0)
    first = 0.5 * np.log(1.5) + 0.4 * np.log(4.5) + 0.1 * np.log(9.0)
    assert found == pytest.approx((first + np.log(3.0)) / 2)


def test_the_temperature_of_three_outcomes_is_found_again():
    """Votes drawn from the model itself at T = 2: scores twice as large as they should be."""
    delta = np.random.default_rng(0).normal(0.0, 3.0, 4000)
    win, tie, _ = np.exp(outcome_log_probabilities(delta, 2.0)).T
    found = fit_temperature(2.0 * delta, win + tie / 2, p_tie=tie, tie_threshold=2.0)
    assert found == pytest.approx(2.0, rel=0.02)
