"""Candidate against champion on the same pairs, and the gate that promotes. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bootstrap import EMPTY, Interval, interval
from .errors import ConfigError
from .evaluate import Array, Cluster, Evaluation, Held, difference, evaluate_held, hold
from .metrics import credit
from .types import Pair


@dataclass(frozen=True, slots=True)
class PairScores:
    """One model's scores of N pairs, each (N,), and its temperature. NaN stands for no verdict: leave such pairs out
    (``only``) before they are evaluated or compared."""

    chosen: ArrayLike
    rejected: ArrayLike
    temperature: float = 1.0

    @property
    def has_verdict(self) -> NDArray[np.bool_]:
        """(N,)"""
        return ~np.isnan(np.asarray(self.chosen, np.float64) - np.asarray(self.rejected, np.float64))

    def only(self, kept: NDArray[np.bool_]) -> PairScores:
        """The scores of the pairs under a mask (N,)."""
        return PairScores(np.asarray(self.chosen)[kept], np.asarray(self.rejected)[kept], self.temperature)


@dataclass(frozen=True, slots=True)
class SliceComparison:
    """Both accuracies over one slice, and candidate minus champion."""

    key: str
    value: str
    n: int
    candidate: float | None
    champion: float | None
    difference: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """``difference`` is candidate minus champion in accuracy, resampled in pairs. ``worse_share`` is the
    share of resamples in which the candidate is strictly worse, ``better_share`` in which it is strictly better.
    Without a champion all are empty."""

    candidate: Evaluation
    champion: Evaluation | None
    difference: Interval
    worse_share: float | None
    better_share: float | None
    slices: list[SliceComparison] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, nested."""
        return asdict(self)


def compare(
    candidate: PairScores,
    champion: PairScores | None,
    pairs: Iterable[Pair],
    *,
    cluster_by: Cluster = "prompt",
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Paired bootstrap of the difference in accuracy, overall and by slice. Raises ``DataError``."""
    held = hold(pairs, cluster_by=cluster_by, resamples=resamples, seed=seed)
    delta = difference(candidate.chosen, candidate.rejected, len(held))
    ours = evaluate_held(delta, held, temperature=candidate.temperature)
    if champion is None:
        return Comparison(ours, None, EMPTY, None, None)
    other = difference(champion.chosen, champion.rejected, len(held))
    theirs = evaluate_held(other, held, temperature=champion.temperature)
    right = np.column_stack([credit(delta, held.p), credit(other, held.p)])  # (N, 2)
    gap, worse, better = _gap(right, held.decided, held)
    return Comparison(ours, theirs, gap, worse, better, _slices(right, held))


def _gap(right: Array, mask: Any, held: Held) -> tuple[Interval, float | None, float | None]:
    if not mask.any():
        return EMPTY, None, None
    point, drawn = held.resampler.ratios(right[:, :1] - right[:, 1:], mask)
    kept = drawn[np.isfinite(drawn)]
    worse, better = (float((kept < 0).mean()), float((kept > 0).mean())) if len(kept) else (None, None)
    return interval(point[0], drawn[:, 0]), worse, better


def _slices(right: Array, held: Held) -> list[SliceComparison]:
    parts = held.decided_slices()
    gaps = held.resampler.means_over(right[:, 0] - right[:, 1], list(parts.values()))
    out = []
    for ((key, value), rows), (point, drawn) in zip(parts.items(), gaps, strict=True):
        ours, theirs = (float(x) for x in right[rows].mean(axis=0)) if len(rows) else (None, None)
        out.append(SliceComparison(key, value, len(rows), ours, theirs, interval(point, drawn)))
    return out


@dataclass(frozen=True, slots=True)
class GateRules:
    """When a candidate becomes champion.

    It needs ``minimum_pairs`` decided pairs; beats longest-wins by more than ``longest_margin`` (when
    ``must_beat_longest``) and chance; is better than the champion by more than ``minimum_gain`` with at most
    ``worst_risk`` of resamples strictly worse; and loses no more than ``slice_drop`` on any slice of at least
    ``slice_minimum`` pairs. By the defaults, of challengers that are no better one in eleven is promoted on 50
    pairs and one in twenty on 100 (``docs/experiments.md``). ``first_champion_free`` lets the first model in
    without beating longest-wins, so that a project with few labels gets a queue at all.
    """

    minimum_pairs: int = 50
    must_beat_longest: bool = True
    longest_margin: float = 0.0
    minimum_gain: float = 0.0
    worst_risk: float = 0.05
    slice_drop: float = 0.05
    slice_minimum: int = 30
    first_champion_free: bool = False

    def __post_init__(self) -> None:
        for name in ("minimum_pairs", "slice_minimum"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1")
        for name in ("longest_margin", "minimum_gain", "slice_drop", "worst_risk"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} must lie in [0, 1]")


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule's outcome: a stable ``code``, whether it ``passed``, and the numbers behind it.

    Codes: ``enough_pairs``, ``beats_chance``, ``beats_longest``, ``first_champion``,
    ``better_than_champion``, ``risk_of_worse``, ``slice_drop``.
    """

    code: str
    passed: bool
    numbers: dict[str, float] = field(default_factory=dict)
    slice: str = ""


@dataclass(frozen=True, slots=True)
class GateResult:
    """``promote`` is true when every reason passed; all rules are judged, so that all reasons are seen."""

    promote: bool
    reasons: list[Reason]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def gate(comparison: Comparison, rules: GateRules | None = None) -> GateResult:
    """Judge every rule. Pure: the caller promotes and stores the reasons."""
    r = rules or GateRules()
    reasons = _baselines(comparison, r)
    if comparison.champion is None:
        reasons.append(Reason("first_champion", True))
    else:
        reasons += _champion(comparison, r)
    return GateResult(all(reason.passed for reason in reasons), reasons)


def _baselines(comparison: Comparison, r: GateRules) -> list[Reason]:
    ours = comparison.candidate
    out = [
        Reason("enough_pairs", ours.n >= r.minimum_pairs, {"n": ours.n, "minimum": r.minimum_pairs}),
    ]
    accuracy = ours.accuracy.value or 0.0
    out.append(Reason("beats_chance", accuracy > 0.5, {"accuracy": accuracy, "chance": 0.5}))
    if r.must_beat_longest and not (comparison.champion is None and r.first_champion_free):
        longest = ours.longest.value or 0.0
        numbers = {"accuracy": accuracy, "longest": longest, "margin": r.longest_margin}
        out.append(Reason("beats_longest", accuracy - longest > r.longest_margin, numbers))
    return out


def _champion(comparison: Comparison, r: GateRules) -> list[Reason]:
    gap, risk = comparison.difference, comparison.worse_share
    value = gap.value if gap.value is not None else 0.0
    numbers = {"difference": value, "low": gap.low or 0.0, "high": gap.high or 0.0, "minimum": r.minimum_gain}
    out = [
        Reason("better_than_champion", value > r.minimum_gain, numbers),
        Reason(
            "risk_of_worse", (risk or 0.0) <= r.worst_risk, {"risk": risk or 0.0, "allowed": r.worst_risk}
        ),
    ]
    for part in comparison.slices:
        drop = -(part.difference.value or 0.0)
        if part.n >= r.slice_minimum and drop > 0:
            numbers = {"drop": drop, "allowed": r.slice_drop, "n": part.n}
            out.append(Reason("slice_drop", drop <= r.slice_drop, numbers, f"{part.key}={part.value}"))
    return out
