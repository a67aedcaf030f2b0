"""Evaluation: exact small numbers, the traps, and the bootstrap against a slow reference."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from workers.reward import DataError, Pair, evaluate
from workers.reward.bootstrap import Resampler
from workers.reward.calibration import fit_temperature
from workers.reward.metrics import brier, calibration_error, correlation, credit, log_loss, reliability
from workers.reward.predict import sigmoid

from .builders import prompt


def pair(i: int, p: float = 1.0, chosen: str = "long text", rejected: str = "short", **fields) -> Pair:
    return Pair(f"p{i}", prompt(f"q{fields.pop('q', i)}"), chosen, rejected, p_chosen=p, **fields)


def test_baselines_are_longest_wins_and_a_seeded_coin():
    pairs = [pair(i, chosen="x" * (10 + i % 3), rejected="y" * 11) for i in range(300)]
    found = evaluate(np.zeros(300), np.ones(300), pairs, seed=3)
    assert found.longest.value == pytest.approx(0.5)  # 100 shorter, 100 equal, 100 longer
    assert found.random.value == pytest.approx(0.5, abs=0.1)
    assert found.random == evaluate(np.ones(300), np.zeros(300), pairs, seed=3).random
    assert found.random != evaluate(np.ones(300), np.zeros(300), pairs, seed=4).random
    assert found.accuracy.value == 0.0


def test_log_loss_brier_and_calibration_have_their_hand_computed_values():
    delta, p = [np.log(3.0), -np.log(3.0)], [1.0, 1.0]
    assert log_loss(delta, p, 1.0) == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
    assert brier(delta, p, 1.0) == pytest.approx((0.25**2 + 0.75**2) / 2)
    table = reliability(delta, p, 1.0, bins=2)
    assert [b.n for b in table] == [0, 2]
    assert (table[1].confidence, table[1].accuracy) == (pytest.approx(0.75), 0.5)
    assert calibration_error(table) == pytest.approx(0.25)
    assert log_loss([2.0], [1.0], 2.0) == pytest.approx(log_loss([1.0], [1.0], 1.0))
    assert credit([1.0, 0.0, -1.0, -1.0], [1.0, 1.0, 0.0, 0.5]).tolist() == [1.0, 0.5, 1.0, 0.5]
    assert correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1.0)
    assert correlation([1, 2, 2], [2, -1, 2]) == pytest.approx(4 / 9)
    assert np.isnan(correlation([1, 2], [0, 0]))
    assert np.isnan(correlation([1], [1]))


def test_the_correlation_with_length_is_the_same_whichever_side_is_called_chosen():
    rng = np.random.default_rng(0)
    longer = rng.integers(80, 121, 400)
    delta = 100.0 + rng.normal(size=400)
    turned = rng.random(400) < 0.5
    ways = []
    for turn in (np.zeros(400, dtype=bool), turned):
        texts = [
            ("x" * int(n), "") if not other else ("", "x" * int(n))
            for n, other in zip(longer, turn, strict=True)
        ]
        pairs = [pair(i, float(not turn[i]), *sides) for i, sides in enumerate(texts)]
        ways.append(
            evaluate(np.where(turn, -delta, delta), np.zeros(400), pairs, resamples=10).length_correlation
        )
    assert ways[0] == pytest.approx(ways[1], abs=1e-12)
    assert ways[0] > 0.95  # every longer text scores a hundred more


def test_the_temperature_recovers_the_scale_that_made_the_labels():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=20_000) * 2
    won = (rng.random(20_000) < sigmoid(truth)).astype(float)
    assert fit_temperature(truth * 5, won) == pytest.approx(5.0, rel=0.05)
    assert fit_temperature([]) == 1.0
    assert fit_temperature([0.0, 0.0]) == 1.0
    assert 0.05 < fit_temperature([1.0, 2.0, 3.0]) < 3  # separable: the prior keeps it from running to 0


def test_the_bootstrap_equals_a_slow_reference_in_distribution():
    rng = np.random.default_rng(2)
    clusters = [str(i) for i in rng.integers(0, 30, 400)]
    values = rng.random(400) < 0.7
    fast = Resampler(clusters, resamples=4000).intervals(values[:, None], np.ones(400))[0]
    groups = [values[[c == name for c in clusters]] for name in sorted(set(clusters))]
    slow = []
    for _ in range(4000):
        drawn = [groups[i] for i in rng.integers(0, len(groups), len(groups))]
        slow.append(np.concatenate(drawn).mean())
    low, high = np.quantile(slow, [0.025, 0.975])
    assert fast.value == pytest.approx(values.mean())
    assert (fast.low, fast.high) == (pytest.approx(low, abs=0.006), pytest.approx(high, abs=0.006))


def test_intervals_are_clustered_by_prompt_and_wider_for_it():
    right = np.repeat(np.random.default_rng(3).random(20) < 0.6, 50).astype(float)
    same = [pair(i, q=i // 50) for i in range(1000)]
    apart = [pair(i) for i in range(1000)]
    wide = evaluate(right, np.full(1000, 0.5), same).accuracy
    narrow = evaluate(right, np.full(1000, 0.5), apart).accuracy
    assert wide.value == narrow.value
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    grouped = [pair(i, group=f"g{i // 50}") for i in range(1000)]
    assert evaluate(right, np.full(1000, 0.5), grouped, cluster_by="group").clusters == 20


def test_slices_have_their_own_n_and_interval():
    pairs = [pair(i, slices={"language": "zh" if i % 4 == 0 else "en"}) for i in range(80)]
    chosen = [0.0 if i % 4 == 0 else 1.0 for i in range(80)]
    found = {s.value: s for s in evaluate(chosen, np.full(80, 0.5), pairs).slices}
    assert (found["zh"].n, found["zh"].accuracy.value) == (20, 0.0)
    assert (found["en"].n, found["en"].accuracy.low) == (60, 1.0)


@pytest.mark.parametrize("pairs", [[], [pair(0, p=0.5)]])
def test_nothing_to_decide_gives_nulls_not_numbers(pairs):
    found = evaluate(np.zeros(len(pairs)), np.zeros(len(pairs)), pairs)
    assert found.accuracy.value is None
    assert found.mean_margin is None
    assert "NaN" not in json.dumps(found.as_dict())


def test_one_prompt_alone_is_resampled_by_pair_and_says_so():
    found = evaluate([1, 0, 1, 1], [0, 1, 0, 0], [pair(i, q="same") for i in range(4)])
    assert found.resampled == "row"
    assert found.accuracy.low < found.accuracy.high


def test_wrong_shapes_and_nan_are_refused():
    pairs = [pair(0), pair(1)]
    with pytest.raises(DataError):
        evaluate(np.zeros((2, 1)), np.zeros((2, 1)), pairs)
    with pytest.raises(DataError):
        evaluate([0.0, np.nan], [0.0, 0.0], pairs)


def test_two_thousand_resamples_of_eight_thousand_prompts_are_quick():
    rng = np.random.default_rng(4)
    pairs = [pair(i, slices={"topic": str(i % 5)}) for i in range(8000)]
    started = time.monotonic()
    evaluate(rng.normal(size=8000), rng.normal(size=8000), pairs)
    assert time.monotonic() - started < 20


def test_a_pair_of_twice_the_weight_counts_twice_in_the_log_loss():
    delta, p = [1.0, -2.0], [1.0, 1.0]
    assert log_loss(delta, p, 1.0, weight=[2.0, 1.0]) == pytest.approx(
        log_loss([1.0, 1.0, -2.0], [1.0, 1.0, 1.0], 1.0)
    )
