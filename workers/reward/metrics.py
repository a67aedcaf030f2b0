"""Figures of merit as functions of score differences ``Δ = chosen - rejected``, shape (N,). Scalars out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .predict import label_loss, sigmoid

Array = NDArray[np.float64]


def credit(delta: ArrayLike, p_chosen: ArrayLike) -> Array:
    """1 where the higher score is on the side people prefer, 0 where it is not, one half for equal scores.

    Also one half for ties among people (p = 0.5); callers leave those out of accuracy.
    """
    side = np.sign(np.asarray(p_chosen, dtype=np.float64) - 0.5)
    return np.asarray((np.sign(np.asarray(delta, dtype=np.float64)) * side + 1.0) / 2.0)


def decided_accuracy(delta: ArrayLike, p_chosen: ArrayLike) -> float:
    """Mean ``credit`` (N,) of the pairs that are decided (p other than 0.5); one half where none is."""
    decided = np.asarray(p_chosen, dtype=np.float64) != 0.5
    return float(credit(delta, p_chosen)[decided].mean()) if decided.any() else 0.5


def rated_accuracy(delta: ArrayLike, gap: ArrayLike) -> tuple[float, int]:
    """How often a prediction puts the better rated of two responses first, and of how many pairs.

    ``delta`` (N,) is the predicted rating of one less that of the other, ``gap`` (N,) the same of the given ratings.
    Pairs with equal ratings (0) and without (NaN) are left out; equal predictions count half. (one half, 0) where
    none is left.
    """
    wanted = np.asarray(gap, dtype=np.float64)
    told_apart = ~np.isnan(wanted) & (wanted != 0.0)
    p = 0.5 + np.sign(wanted[told_apart]) / 2.0
    return decided_accuracy(np.asarray(delta, dtype=np.float64)[told_apart], p), int(told_apart.sum())


def log_loss(
    delta: ArrayLike,
    p_chosen: ArrayLike,
    temperature: float,
    *,
    weight: ArrayLike | None = None,
    p_tie: ArrayLike | None = None,
    tie_threshold: float | None = None,
) -> float:
    """Mean ``-[p·ln σ(Δ/T) + (1-p)·ln σ(-Δ/T)]`` in nats, or that over win, tie and lose where a tie threshold
    is given, each pair counting ``weight`` times; NaN for no pairs."""
    d = np.asarray(delta, dtype=np.float64) / temperature
    if not d.size:
        return float("nan")
    weights = None if weight is None else np.asarray(weight, dtype=np.float64)
    return float(np.average(label_loss(d, p_chosen, p_tie, tie_threshold), weights=weights))


def brier(delta: ArrayLike, p_chosen: ArrayLike, temperature: float) -> float:
    """Mean squared error of ``σ(Δ/T)`` against ``p_chosen``; NaN for no pairs."""
    d, p = np.asarray(delta, dtype=np.float64), np.asarray(p_chosen, dtype=np.float64)
    return float(np.mean((sigmoid(d / temperature) - p) ** 2)) if d.size else float("nan")


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs whose stated confidence lies in [low, high): their number, mean confidence, share right."""

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


def reliability(delta: ArrayLike, p_chosen: ArrayLike, temperature: float, bins: int = 10) -> list[Bin]:
    """Bins of the confidence ``max(σ, 1-σ)`` over [0.5, 1], so that which side was called chosen is no
    matter. The last bin includes 1. Ties count half."""
    d = np.asarray(delta, dtype=np.float64)
    confidence = sigmoid(np.abs(d) / temperature)
    right = credit(d, p_chosen)
    edges = np.linspace(0.5, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)
    out = []
    for i in range(bins):
        here = place == i
        n = int(here.sum())
        mean, share = (float(confidence[here].mean()), float(right[here].mean())) if n else (None, None)
        out.append(Bin(float(edges[i]), float(edges[i + 1]), n, mean, share))
    return out


def calibration_error(bins: list[Bin]) -> float:
    """Expected calibration error: |confidence - accuracy| of a bin, averaged over pairs; NaN for none."""
    total = sum(b.n for b in bins)
    gaps = (
        b.n * abs(b.confidence - b.accuracy)
        for b in bins
        if b.confidence is not None and b.accuracy is not None
    )
    return sum(gaps) / total if total else float("nan")


def correlation(x: ArrayLike, y: ArrayLike) -> float:
    """r of two columns of differences through the origin, ``Σxy / √(Σx² Σy²)``: Pearson's r of the pairs taken both
    ways round. Turning a pair, which changes the sign of both, leaves it alone. NaN for fewer than two rows or when one
    side is 0 throughout."""
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.size < 2 or not a.any() or not b.any():
        return float("nan")
    return float((a / np.linalg.norm(a)) @ (b / np.linalg.norm(b)))
