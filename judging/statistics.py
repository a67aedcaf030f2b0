"""Judges against people, in numpy: agreement, kappa, position consistency, with intervals.

Outcomes are small integers: 0 for a, 1 for b, 2 for a tie, −1 for none (unparsed, or not asked). All
intervals are percentile bootstraps of 2,000 resamples clustered by prompt: prompts are drawn with
replacement, all pairs of a prompt together, because pairs of one prompt are not independent. Resampling is a
matrix product: prompt weights (2000, G) times sums by prompt (G, k), in slices that bound the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

A, B, TIE, NONE = 0, 1, 2, -1
RESAMPLES = 2000
_SLICE_CELLS = 2_000_000  # resamples × prompts held at once: 16 MB
CODES = {"a": A, "b": B, "tie": TIE, "both_bad": TIE}


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval and the number of pairs behind it. `value` is None when n is 0."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class PositionReport:
    """How a judge's verdict follows the slot. `flips_to_first`: both orders chose whatever stood first."""

    consistency: Estimate
    both_read: int
    flips_to_first: int
    flips_to_second: int
    other_flips: int


def encode(outcomes: Sequence[str | None]) -> Ints:
    """Outcome words as integers; both-bad counts as a tie (neither is preferred), anything else as none."""
    return np.array([CODES.get(outcome or "", NONE) for outcome in outcomes], dtype=np.int64)


def agreement(people: Ints, judge: Ints, clusters: Ints, *, with_ties: bool, seed: int = 0) -> Estimate:
    """Share of pairs with the same outcome, over pairs where both have one.

    Without ties, only pairs where both chose a side count. With ties, a tie agrees only with a tie.
    """
    kept = _both(people, judge, with_ties=with_ties)
    return cluster_ratio(
        (people == judge)[kept].astype(float), np.ones(int(kept.sum())), clusters[kept], seed=seed
    )


def half_credit(people: Ints, judge: Ints, clusters: Ints, *, seed: int = 0) -> Estimate:
    """Accuracy on pairs where people chose a side; a judge's tie counts one half."""
    kept = (people >= 0) & (people != TIE) & (judge >= 0)
    credit = np.where(judge == TIE, 0.5, (people == judge).astype(float))[kept]
    return cluster_ratio(credit, np.ones(len(credit)), clusters[kept], seed=seed)


def longest_wins(length_a: Ints, length_b: Ints) -> Ints:
    """The baseline that prefers the longer response; equal lengths are a tie. Lengths in characters."""
    return np.where(length_a > length_b, A, np.where(length_b > length_a, B, TIE)).astype(np.int64)


def cohen_kappa(people: Ints, judge: Ints, clusters: Ints, *, seed: int = 0) -> Estimate:
    """Cohen's kappa over a, b and tie: (p_o − p_e) / (1 − p_e); 1 is perfect, 0 is chance.

    Undefined (None) when there is no pair or chance agreement is already 1. Cohen, 1960.
    """
    kept = _both(people, judge, with_ties=True)
    n = int(kept.sum())
    if n == 0:
        return Estimate(None, None, None, 0)
    cells = people[kept] * 3 + judge[kept]
    groups = _compact(clusters[kept])
    tables = np.zeros((groups.max() + 1, 9))
    np.add.at(tables, (groups, cells), 1.0)
    value = _kappa(tables.sum(axis=0, keepdims=True))[0]
    resampled = _kappa(_resample(tables, seed))
    return _estimate(value, resampled, n)


def confusion(people: Ints, judge: Ints) -> NDArray[np.int64]:
    """(3, 4) counts: rows are people's a, b, tie; columns the judge's a, b, tie, no verdict."""
    table = np.zeros((3, 4), dtype=np.int64)
    kept = people >= 0
    np.add.at(table, (people[kept], np.where(judge[kept] < 0, 3, judge[kept])), 1)
    return table


def position_report(order_ab: Ints, order_ba: Ints, clusters: Ints, *, seed: int = 0) -> PositionReport:
    """Both orders' verdicts, coded against the responses (not the slots), compared pair by pair.

    In order ab response a stands first. A judge that says a when a is first and b when b is first follows
    the first slot. Pairs where one of the orders could not be read do not count.
    """
    kept = (order_ab >= 0) & (order_ba >= 0)
    ab, ba = order_ab[kept], order_ba[kept]
    same = (ab == ba).astype(float)
    to_first = int(((ab == A) & (ba == B)).sum())
    to_second = int(((ab == B) & (ba == A)).sum())
    return PositionReport(
        consistency=cluster_ratio(same, np.ones(len(same)), clusters[kept], seed=seed),
        both_read=len(ab),
        flips_to_first=to_first,
        flips_to_second=to_second,
        other_flips=int(len(ab) - same.sum()) - to_first - to_second,
    )


def consistent_outcome(order_ab: Ints, order_ba: Ints) -> Ints:
    """The outcome on which both orders agree; none where one was not read or they differ."""
    return np.where((order_ab >= 0) & (order_ab == order_ba), order_ab, NONE).astype(np.int64)


def probable_outcome(p_a: Floats) -> Ints:
    """The side that a swap-averaged P(a ≻ b) favours; exactly ½ is a tie, NaN is none."""
    sides = np.where(p_a > 0.5, A, np.where(p_a < 0.5, B, TIE))
    return np.where(np.isnan(p_a), NONE, sides).astype(np.int64)


def cluster_ratio(numerator: Floats, denominator: Floats, clusters: Ints, *, seed: int = 0) -> Estimate:
    """Σ numerator / Σ denominator with an interval clustered by `clusters`. n is the number of rows."""
    n = len(numerator)
    if n == 0 or denominator.sum() == 0:
        return Estimate(None, None, None, n)
    groups = _compact(clusters)
    sums = np.stack([np.bincount(groups, numerator), np.bincount(groups, denominator)], axis=1)  # (G, 2)
    drawn = _resample(sums, seed)  # (2000, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        resampled = drawn[:, 0] / drawn[:, 1]
    return _estimate(float(numerator.sum() / denominator.sum()), resampled, n)


def _both(people: Ints, judge: Ints, *, with_ties: bool) -> NDArray[np.bool_]:
    kept = (people >= 0) & (judge >= 0)
    return kept if with_ties else kept & (people != TIE) & (judge != TIE)


def _resample(sums: NDArray[Any], seed: int) -> Floats:
    """(2000, k) totals of each resample: G prompts drawn with replacement from `sums` (G, k)."""
    generator = np.random.default_rng(seed)
    groups = len(sums)
    slice_size = max(1, min(RESAMPLES, _SLICE_CELLS // groups))
    totals = []
    for start in range(0, RESAMPLES, slice_size):
        size = min(slice_size, RESAMPLES - start)
        drawn = generator.integers(groups, size=(size, groups)) + np.arange(size)[:, None] * groups
        weights = np.bincount(drawn.ravel(), minlength=size * groups).reshape(size, groups)
        totals.append(weights @ sums)
    return np.concatenate(totals)


def _kappa(tables: Floats) -> Floats:
    """Kappa of flattened 3×3 tables (m, 9); NaN where it is undefined."""
    square = tables.reshape(-1, 3, 3)
    total = square.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.trace(square, axis1=1, axis2=2) / total
        expected = (square.sum(axis=2) * square.sum(axis=1)).sum(axis=1) / total**2
        return np.where(expected < 1.0, (observed - expected) / (1.0 - expected), np.nan)


def _estimate(value: float, resampled: Floats, n: int) -> Estimate:
    if np.isnan(value):
        return Estimate(None, None, None, n)
    finite = resampled[np.isfinite(resampled)]
    low, high = np.quantile(finite, [0.025, 0.975]) if len(finite) else (value, value)
    return Estimate(float(value), float(low), float(high), n)


def _compact(clusters: Ints) -> Ints:
    return np.unique(clusters, return_inverse=True)[1].astype(np.int64)
