"""Scorers of the same comparisons that are no trained reward model: RewardBench's other types, and baselines."""

from .folder import Scorer, load_written, open_scorer, write_scorer
from .spec import SCORER_KINDS, ScorerSpec, settings_from_dict, settings_to_dict, spec_from_dict, spec_to_dict

__all__ = [
    "SCORER_KINDS",
    "Scorer",
    "ScorerSpec",
    "load_written",
    "open_scorer",
    "settings_from_dict",
    "settings_to_dict",
    "spec_from_dict",
    "spec_to_dict",
    "write_scorer",
]
