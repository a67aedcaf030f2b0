"""Label probabilities and how two orders become one P(a ≻ b)."""

from __future__ import annotations

import math

import pytest

from judging.engines.base import probability_first, renormalise, swap_average, vote_share


def test_labels_are_renormalised_and_their_mass_kept():
    share = renormalise({"A": math.log(0.3), "B": math.log(0.1), "C": -math.inf})
    assert share.mass == pytest.approx(0.4)
    assert share.shares == pytest.approx({"A": 0.75, "B": 0.25, "C": 0.0})
    assert renormalise({}) is None
    assert renormalise({"A": -math.inf}) is None


def test_a_tie_counts_half_to_each_side():
    logprobs = {"A": math.log(0.2), "B": math.log(0.2), "C": math.log(0.6)}
    probability, mass = probability_first(logprobs, tie="C")
    assert (probability, mass) == (pytest.approx(0.5), pytest.approx(1.0))


def test_averaging_logits_cancels_a_slot_preference_exactly():
    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    for true_logit in (-2.0, 0.0, 1.5):
        for bias in (0.0, 1.0, 4.0):
            averaged = swap_average(sigmoid(true_logit + bias), sigmoid(true_logit - bias))
            assert averaged == pytest.approx(sigmoid(true_logit), abs=1e-9)
    assert swap_average(1.0, 0.0) == pytest.approx(0.5)
    assert 0.99 < swap_average(1.0, 1.0) < 1.0


def test_vote_share_never_claims_certainty():
    assert vote_share(2, 2) == pytest.approx(5 / 6)
    assert vote_share(1, 2) == 0.5
    assert vote_share(0, 0) == 0.5
