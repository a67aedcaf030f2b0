"""A temperature fitted on one half of the held-out groups mends an overconfident model on the other half."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from workers.reward import StarterConfig, open_reward_model, train
from workers.reward.calibration import calibrate, fit_temperature, half_of_groups
from workers.reward.metrics import brier, calibration_error, log_loss, reliability

from .builders import planted_pairs
from .transformers_small import TINY


def overconfident(n: int = 2000, factor: float = 6.0, seed: int = 0):
    """Differences that claim ``factor`` times what they know, and outcomes drawn from what they know."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0.0, 1.5, n)
    won = (rng.random(n) < 1 / (1 + np.exp(-honest))).astype(float)
    groups = [f"g{i % 40}" for i in range(n)]
    return honest * factor, won, np.ones(n), groups


def test_an_overconfident_model_is_mended_on_the_half_it_was_not_fitted_on():
    delta, p, weight, groups = overconfident()
    found = calibrate(delta, p, weight, groups, seed=0)
    unseen = ~half_of_groups(groups, 0)
    assert found.temperature == pytest.approx(6.0, rel=0.2)
    for name, before in (
        ("log_loss", log_loss(delta[unseen], p[unseen], 1.0)),
        ("brier", brier(delta[unseen], p[unseen], 1.0)),
        ("ece", calibration_error(reliability(delta[unseen], p[unseen], 1.0))),
    ):
        after = found.figures[f"validation_{name}"]
        assert after < before - 0.02, name
    assert found.figures["validation_ece"] < 0.05
    assert found.figures["validation_log_loss"] == log_loss(delta[unseen], p[unseen], found.temperature)


def test_the_figures_are_of_pairs_that_the_temperature_has_not_seen():
    delta, p, weight, groups = overconfident()
    unseen = ~half_of_groups(groups, 0)
    turned = np.where(unseen, 1.0 - p, p)  # lies in the unseen half must not move T, and must show
    honest, lied = (calibrate(delta, labels, weight, groups, seed=0) for labels in (p, turned))
    assert lied.temperature == honest.temperature
    assert lied.figures["validation_log_loss"] > 2 * honest.figures["validation_log_loss"]
    assert honest.source == {
        "on": "half of the validation groups", "pairs": 1000, "groups": 20, "reported_on": 1000
    }  # fmt: skip


def test_halves_keep_groups_whole_are_even_and_follow_seed_and_names_alone():
    groups = [f"g{i}" for i in range(30) for _ in range(1 + i % 5)]
    half = half_of_groups(groups, 0)
    for group in set(groups):
        assert len({bool(h) for g, h in zip(groups, half, strict=True) if g == group}) == 1
    assert abs(int(half.sum()) - len(groups) / 2) <= 5
    order = np.random.default_rng(0).permutation(len(groups))
    np.testing.assert_array_equal(half_of_groups([groups[i] for i in order], 0), half[order])
    np.testing.assert_array_equal(half_of_groups(groups, 0), half)
    assert (half_of_groups(groups, 1) != half).any()


def test_the_same_seed_gives_the_same_figures():
    data = overconfident()
    assert calibrate(*data, seed=3) == calibrate(*data, seed=3)
    assert calibrate(*data, seed=3).temperature != calibrate(*data, seed=4).temperature


@pytest.mark.parametrize(("n", "groups"), [(300, 3), (19, 19)])
def test_too_few_groups_or_pairs_are_used_whole_and_the_figures_say_so(n, groups):
    delta, p, weight, _ = overconfident(n)
    found = calibrate(delta, p, weight, [str(i % groups) for i in range(n)])
    assert found.figures["calibration_held_out"] == 0.0
    assert found.figures["calibration_pairs"] == found.figures["validation_pairs"] == n
    assert found.temperature == fit_temperature(delta, p, weight)
    assert found.source["on"] == "all validation pairs"


def test_no_pairs_leave_the_temperature_at_one():
    found = calibrate([], [], [], [])
    assert (found.temperature, found.figures) == (1.0, {})


def test_ties_have_a_temperature_of_their_own_fitted_on_the_same_half():
    delta, p, weight, groups = overconfident()
    ties = np.where(np.abs(delta) < 3.0, 1.0, 0.0)
    labels = np.where(ties == 1.0, 0.5, p)
    found = calibrate(delta, labels, weight, groups, p_tie=ties, tie_threshold=2.0)
    half = half_of_groups(groups)
    expected = fit_temperature(delta[half], labels[half], weight[half], p_tie=ties[half], tie_threshold=2.0)
    assert found.figures["tie_temperature"] == expected
    rest = ~half
    assert found.figures["validation_outcome_log_loss"] == log_loss(
        delta[rest], labels[rest], expected, p_tie=ties[rest], tie_threshold=2.0
    )


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("starter", StarterConfig(hash_bits=12, heads=2)),
        ("transformer", dataclasses.replace(TINY, max_steps=3)),
    ],
)
def test_the_model_saves_what_its_temperature_was_fitted_on(kind, config, tmp_path):
    pairs = planted_pairs(160, groups=16, validation=0.5)
    result = train(kind, pairs, config, tmp_path / "m")
    card = json.loads((tmp_path / "m" / "chosen_model.json").read_text())
    assert card["calibration"]["on"] == "half of the validation groups"
    assert card["calibration"]["pairs"] == card["calibration"]["reported_on"] == 40
    assert result.metrics["calibration_held_out"] == 1.0
    assert result.metrics["calibration_pairs"] == result.metrics["validation_pairs"] == 40.0
    assert {"validation_log_loss", "validation_brier", "validation_ece"} <= set(result.metrics)
    assert open_reward_model(tmp_path / "m").temperature == result.metrics["temperature"]


def test_without_a_validation_split_the_starter_says_that_cross_validation_served(tmp_path):
    train("starter", planted_pairs(80), StarterConfig(hash_bits=12, heads=2), tmp_path / "m")
    card = json.loads((tmp_path / "m" / "chosen_model.json").read_text())
    assert card["calibration"] == {"on": "cross-validation", "pairs": 80, "groups": 8}
    train("starter", planted_pairs(4), StarterConfig(hash_bits=12, heads=2), tmp_path / "few")
    card = json.loads((tmp_path / "few" / "chosen_model.json").read_text())
    assert card["calibration"]["on"] == "nothing"
