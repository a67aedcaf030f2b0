"""The paired comparison and the gate: every rule both ways."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from workers.reward import ConfigError, GateRules, Pair, PairScores, compare, gate
from workers.services.defaults import gate_rules_for

from .builders import prompt

N = 400


def make_pairs(**fields) -> list[Pair]:
    return [
        Pair(f"p{i}", prompt(f"q{i}"), "aa", "bb", slices={"topic": "x" if i % 4 == 0 else "y"}, **fields)
        for i in range(N)
    ]


def scores(right: np.ndarray) -> PairScores:
    return PairScores(right.astype(float), 1.0 - right.astype(float))


def accurate(share: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(N) < share * N


def outcome(result) -> dict[str, bool]:
    return {r.code + (":" + r.slice if r.slice else ""): r.passed for r in result.reasons}


def test_the_difference_is_paired():
    champion = accurate(0.6)
    candidate = champion.copy()
    candidate[np.flatnonzero(~champion)[:20]] = True
    found = compare(scores(candidate), scores(champion), make_pairs())
    assert found.difference.value == pytest.approx(20 / N)
    apart = 1.96 * np.sqrt(2 * 0.6 * 0.4 / N)  # half-width were the two models measured on different pairs
    assert (found.difference.high - found.difference.low) / 2 < 0.5 * apart
    assert found.worse_share == 0.0
    assert sum(s.n * s.difference.value for s in found.slices) == pytest.approx(20)
    json.dumps(found.as_dict())


def test_a_better_candidate_is_promoted_with_every_reason_kept():
    found = compare(scores(accurate(0.8)), scores(accurate(0.8) & accurate(0.85, 1)), make_pairs())
    result = gate(found)
    assert result.promote
    assert {"enough_pairs", "beats_chance", "beats_longest", "better_than_champion", "risk_of_worse"} <= set(
        outcome(result)
    )


def test_an_equal_candidate_is_not_better():
    same = scores(accurate(0.8))
    result = gate(compare(same, same, make_pairs()))
    assert not result.promote
    assert outcome(result)["better_than_champion"] is False
    assert outcome(result)["risk_of_worse"] is True


def test_one_bad_slice_stops_a_better_candidate():
    champion = accurate(0.7)
    candidate = np.array([i % 4 != 0 or (champion[i] and i % 8 != 0) for i in range(N)])
    result = gate(compare(scores(candidate), scores(champion), make_pairs()))
    assert not result.promote
    assert outcome(result)["slice_drop:topic=x"] is False
    allowed = gate(compare(scores(candidate), scores(champion), make_pairs()), GateRules(slice_drop=1.0))
    assert allowed.promote
    too_small = gate(compare(scores(candidate), scores(champion), make_pairs()), GateRules(slice_minimum=101))
    assert too_small.promote


def test_longest_wins_must_be_beaten():
    pairs = [dataclasses.replace(p, chosen="longer text") for p in make_pairs()]
    found = compare(scores(accurate(0.9)), None, pairs)
    assert outcome(gate(found))["beats_longest"] is False
    assert gate(found, GateRules(first_champion_free=True)).promote
    assert gate(found, GateRules(must_beat_longest=False)).promote


def test_the_first_champion_needs_no_rival_but_enough_pairs():
    pairs = make_pairs()
    assert gate(compare(scores(accurate(0.7)), None, pairs)).promote
    few = gate(compare(PairScores([1.0] * 10, [0.0] * 10), None, pairs[:10]))
    assert not few.promote
    reason = next(r for r in few.reasons if r.code == "enough_pairs")
    assert reason.numbers == {"n": 10, "minimum": 50}
    worse_than_chance = gate(compare(scores(accurate(0.3)), None, pairs))
    assert outcome(worse_than_chance)["beats_chance"] is False


def test_no_decided_pair_promotes_nobody():
    assert not gate(compare(scores(accurate(0.9)), scores(accurate(0.5)), make_pairs(p_chosen=0.5))).promote


def test_rules_out_of_bounds_are_refused():
    with pytest.raises(ConfigError):
        GateRules(slice_drop=2.0)
    with pytest.raises(ConfigError):
        GateRules(minimum_pairs=0)


@pytest.mark.parametrize(("gain", "least", "most"), [(0.0, 0, 12), (-0.04, 0, 4), (0.12, 70, 100)])
def test_a_challenger_that_is_no_better_seldom_replaces_the_champion(gain, least, most):
    """A hundred challengers on a hundred pairs each, one in five of which the two models see differently."""
    rng, apart, n = np.random.default_rng(1), 0.2, 100
    promoted = 0
    for _ in range(100):
        drawn, both = rng.random(n), rng.random(n) < 0.75
        ours = np.where(drawn < apart, drawn < (apart + gain) / 2, both)
        theirs = np.where(drawn < apart, drawn >= (apart + gain) / 2, both)
        found = compare(scores(ours), scores(theirs), make_pairs()[:n], resamples=300)
        promoted += gate(found, gate_rules_for({}, has_champion=True)).promote
    assert least <= promoted <= most


def test_a_later_model_needs_more_pairs_than_the_first():
    few = make_pairs()[:20]
    better, worse = scores(np.ones(20)), scores(np.arange(20) % 2)
    later = gate(compare(better, worse, few), gate_rules_for({}, has_champion=True))
    assert outcome(later)["enough_pairs"] is False
    assert not later.promote
    assert gate(compare(better, None, few), gate_rules_for({}, has_champion=False)).promote
