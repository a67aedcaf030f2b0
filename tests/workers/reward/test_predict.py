"""Probabilities, priority, labels, settings and the purity of imports."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from workers.reward import (
    ConfigError,
    DataError,
    StarterConfig,
    TransformerConfig,
    config_from_dict,
    config_to_dict,
    pair_probability,
    priority,
)
from workers.reward.labels import signed_margin

from .builders import ROOT, planted_pairs


def test_pair_probability_is_the_mean_over_heads():
    mean, std = pair_probability([np.log(3), 0.0], [0.0, 0.0])
    assert mean == pytest.approx(0.625)
    assert std == pytest.approx(0.125)
    mean, std = pair_probability([[2.0], [0.0]], [[0.0], [0.0]], temperature=2.0)
    np.testing.assert_allclose(mean, [1 / (1 + np.exp(-1)), 0.5])
    np.testing.assert_array_equal(std, [0, 0])
    with pytest.raises(ValueError):
        pair_probability([1.0, 2.0], [1.0])
    with pytest.raises(ValueError):
        pair_probability([1.0], [1.0], temperature=0.0)


def test_priority_prefers_open_outcomes_and_heads_that_disagree():
    assert priority(0.5, 0.0) > priority(0.9, 0.0) > priority(0.999, 0.0)
    assert priority(0.5, 0.3) > priority(0.5, 0.0)
    assert priority(0.2, 0.1) == pytest.approx(priority(0.8, 0.1))
    assert priority(0.5, 0.5) == pytest.approx(1.0)
    assert priority(1.0, 0.0) == pytest.approx(0.0, abs=1e-6)
    grid = priority(np.linspace(0, 1, 11)[:, None], np.linspace(0, 0.5, 6)[None])
    assert grid.shape == (11, 6)
    assert (grid >= 0).all()
    assert (grid <= 1).all()


def test_strength_becomes_a_signed_margin():
    pair = planted_pairs(1)[0]
    sizes = [signed_margin(dataclasses.replace(pair, strength=s), 3.0) for s in (1.0, 2.0, 4.0)]
    assert sizes == [0.0, 1.0, 3.0]
    assert signed_margin(pair, 3.0) == 0.0
    assert signed_margin(dataclasses.replace(pair, strength=4.0, p_chosen=0.5), 3.0) == 0.0
    assert signed_margin(dataclasses.replace(pair, strength=4.0, p_chosen=0.2), 3.0) == -3.0


@pytest.mark.parametrize("wrong", [{"p_chosen": 1.5}, {"strength": 5.0}, {"weight": -1.0}, {"split": "dev"}])
def test_a_pair_refuses_values_out_of_bounds(wrong):
    with pytest.raises(DataError):
        planted_pairs(1, **wrong) if "split" not in wrong else dataclasses.replace(
            planted_pairs(1)[0], **wrong
        )


@pytest.mark.parametrize(
    ("kind", "values", "word"),
    [
        ("starter", {"head": 3}, "head"),
        ("starter", {"heads": "3"}, "heads"),
        ("starter", {"heads": True}, "heads"),
        ("starter", {"regularisation": []}, "regularisation"),
        ("transformer", {"learning_rate": 2}, "learning_rate"),
        ("transformer", {"hub": "elsewhere"}, "hub"),
        ("transformer", {"base": " "}, "base"),
        ("forest", {}, "forest"),
    ],
)
def test_wrong_settings_are_named(kind, values, word):
    with pytest.raises(ConfigError, match=word):
        config_from_dict(kind, values)


def test_settings_survive_json():
    for kind, config in (("starter", StarterConfig(heads=3)), ("transformer", TransformerConfig(epochs=1))):
        assert config_from_dict(kind, config_to_dict(config)) == config


def test_importing_the_library_and_evaluating_brings_no_torch():
    code = (
        "import sys, workers.reward as r\n"
        "r.evaluate([1.0], [0.0], [r.Pair('p', (), 'a', 'b')])\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'scipy', 'django'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
