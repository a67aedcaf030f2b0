"""What a run does where nobody said otherwise: how it splits its snapshot, and what its gate asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.models import ModelKind
from workers.reward.compare import GateRules
from workers.reward.scorers import SCORER_KINDS

# Under this many settled comparisons a tenth would be too few to test on.
FEW_LABELS = 2000
SMALL_FRACTIONS = {"train": 0.7, "validation": 0.1, "test": 0.2}

# The first model only has to be better than chance on a few pairs, since any order of the queue beats none. A later
# one replaces something that works: it has to meet the defaults of `GateRules`. So has a scorer, which learned nothing
# from the project's labels.
FIRST_RULES: dict[str, Any] = {"minimum_pairs": 5, "first_champion_free": True}
# There to be beaten: never promoted but by hand.
BASELINES = (ModelKind.RANDOM, ModelKind.LONGEST)
# They say which of two responses is better and have no score for one, so none of them can be champion.
COMPARE_ALONE = (ModelKind.GENERATIVE,)


def snapshot_config_for(config: Mapping[str, Any], *, settled: int) -> dict[str, Any]:
    """The snapshot settings of a run. Test groups of a large project are a subset of those it had when small,
    so a champion from then has seen none of them."""
    if "fractions" in config or settled >= FEW_LABELS:
        return dict(config)
    return {**config, "fractions": SMALL_FRACTIONS}


def gate_rules_for(rules: Mapping[str, Any], *, has_champion: bool, kind: str = "") -> GateRules:
    """The rules of a run that makes a model of `kind`. Raises ConfigError for values out of bounds, TypeError for
    unknown names."""
    is_first = not has_champion and kind not in SCORER_KINDS
    return GateRules(**{**(FIRST_RULES if is_first else {}), **rules})
