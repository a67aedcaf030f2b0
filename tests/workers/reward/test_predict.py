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
    entropy,
    pair_probability,
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


def test_entropy_is_one_bit_for_an_open_outcome():
    np.testing.assert_allclose(entropy([0.5, 0.25, 0.0, 1.0]), [1.0, 0.8112781, 0.0, 0.0], atol=1e-6)
    assert entropy(0.2) == pytest.approx(entropy(0.8))


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
