"""Settings out of range are refused with the kind, the setting, the range and the value."""

from __future__ import annotations

import pytest

from workers.reward import ConfigError, EmbeddingConfig, StarterConfig, TransformerConfig
from workers.reward.config import (
    EMBEDDING_LIMITS,
    KINDS,
    STARTER_LIMITS,
    TRANSFORMER_LIMITS,
    config_from_dict,
    config_to_dict,
)

LIMITS = {"starter": STARTER_LIMITS, "embedding": EMBEDDING_LIMITS, "transformer": TRANSFORMER_LIMITS}
DEFAULTS = {
    "starter": StarterConfig(),
    "embedding": EmbeddingConfig(),
    "transformer": TransformerConfig(),
}
CASES = [(kind, name) for kind, limits in LIMITS.items() for name in limits]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_each_number_has_both_limits(kind, name):
    low, high = LIMITS[kind][name]
    for wrong in (low - 1, high * 2 + 1):
        with pytest.raises(ConfigError) as refused:
            config_from_dict(kind, {name: wrong})
        assert f"{kind}: {name} must lie in {low:,}..{high:,}, got {wrong!r}" == str(refused.value)


@pytest.mark.parametrize("kind", LIMITS)
def test_no_number_is_without_limits(kind):
    numbers = {
        name
        for name, value in config_to_dict(DEFAULTS[kind]).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    assert numbers == set(LIMITS[kind])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_in_no_range(wrong):
    for name in ("epochs", "learning_rate", "clip_norm", "margin_scale"):
        with pytest.raises(ConfigError, match=f"transformer: {name} must lie in"):
            config_from_dict("transformer", {name: wrong})


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("starter", {"regularisation": [1e-3] * 33}, "must have 1..32 values, got 33"),
        ("starter", {"regularisation": []}, "must have 1..32 values, got 0"),
        ("starter", {"regularisation": [1e-3, 1e9]}, "every regularisation must lie in"),
        ("embedding", {"regularisation": [0.0]}, "embedding: every regularisation must lie in"),
        ("embedding", {"base": " "}, "embedding: base must name"),
        ("embedding", {"pool": "max"}, "pool has the wrong type"),
        ("embedding", {"epochs": 2.0}, "unknown setting for embedding: epochs"),
        ("transformer", {"base": "x" * 301}, "base must name"),
        ("transformer", {"revision": "x" * 301}, "revision must have at most 300"),
        ("transformer", {"focal": 0.5}, r"focal must be 0 \(off\) or at least 1, got 0.5"),
        ("transformer", {"aspects": ["help"] * 2}, "aspects must be at most 32 different names"),
        ("transformer", {"aspects": [" "]}, "aspects must be at most 32 different names"),
        ("transformer", {"aspects": ["x" * 61]}, r"names of 1..60"),
        ("transformer", {"aspects": [str(i) for i in range(33)]}, "at most 32"),
        ("transformer", {"aspects": [3]}, "aspects has the wrong type"),
        ("transformer", {"ranking": "elo"}, "ranking has the wrong type"),
        ("transformer", {"tiny_hidden": 130}, r"twice tiny_heads \(8\), got 130"),
    ],
)
def test_lists_and_names_are_bounded_too(kind, values, words):
    with pytest.raises(ConfigError, match=words):
        config_from_dict(kind, values)


@pytest.mark.parametrize("kind", KINDS)
def test_settings_survive_json_and_back(kind):
    assert config_from_dict(kind, config_to_dict(DEFAULTS[kind])) == DEFAULTS[kind]
