"""Agreement statistics, pure numpy.

Votes come as counts: an integer array (units, categories) that says how often each category was given to each
unit (comparison). What is undefined is NaN, never 0 or 1: no unit with two votes, or only one category in
use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval (both ends None where it has none) and the number of units behind it."""

    value: float
    low: float | None
    high: float | None
    n: int


def confusions(first: Array, second: Array, size: int) -> Array:
    """(units, C·C): one 1 for each unit, in the cell (first rater's category, second's) of a flattened table.

    `first`, `second`: (units,) categories from 0 to `size` − 1.
    """
    cells = np.zeros((len(first), size * size))
    cells[np.arange(len(first)), first * size + second] = 1
    return cells


def share_of_confusions(sums: Array) -> Array:
    """(R, C·C) summed confusions to (R,) shares of the units on which both raters agree; NaN without units."""
    size = math.isqrt(sums.shape[1])
    agreed = np.trace(sums.reshape(-1, size, size), axis1=1, axis2=2)
    return share_of_sums(np.stack([agreed, sums.sum(axis=1)], axis=1))


def kappa_of_confusions(sums: Array) -> Array:
    """(R, C·C) summed confusions to (R,) Cohen's kappas: (p_o − p_e) / (1 − p_e) (Cohen 1960). NaN without
    units or for p_e = 1.
    """
    size = math.isqrt(sums.shape[1])
    tables = sums.reshape(-1, size, size)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = tables / tables.sum(axis=(1, 2), keepdims=True)
    expected = (shares.sum(axis=1) * shares.sum(axis=2)).sum(axis=1)
    return _above_chance(share_of_confusions(sums), expected)


def cohen_kappa(first: Array, second: Array) -> float:
    """Cohen's kappa of two raters' labels over the same units. NaN for n = 0 or one label in use.

    `first`, `second`: (n,) labels of any kind that numpy can sort.
    """
    if len(first) != len(second):
        raise ValueError(f"two raters must rate the same units, got {len(first)} and {len(second)}")
    if not len(first):
        return math.nan
    labels, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    cells = confusions(codes[: len(first)], codes[len(first) :], len(labels))
    return float(kappa_of_confusions(cells.sum(axis=0, keepdims=True))[0])


def fleiss_sums(counts: Array) -> Array:
    """(units, 2 + C): agreeing pairs of votes, all pairs, and the votes for each category, on each unit.

    Raises ValueError where the numbers of votes differ between units (Fleiss 1971 asks for equal ones).
    """
    votes = counts.sum(axis=1)  # (U,)
    if (votes != votes[:1]).any():
        raise ValueError("Fleiss' kappa needs the same number of votes on every unit")
    return np.concatenate([agreeing_pairs(counts), counts], axis=1)


def fleiss_of_sums(sums: Array) -> Array:
    """(R, 2 + C) summed `fleiss_sums` to (R,) Fleiss' kappas. NaN without two votes or with one category in
    use.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = sums[:, 2:] / sums[:, 2:].sum(axis=1, keepdims=True)
    return _above_chance(share_of_sums(sums[:, :2]), (shares**2).sum(axis=1))


def fleiss_kappa(counts: Array) -> float:
    """Fleiss' kappa of `counts` (units, categories), every unit with the same number of votes.

    Raises what `fleiss_sums` raises; NaN as in `fleiss_of_sums`.
    """
    return float(fleiss_of_sums(fleiss_sums(counts).sum(axis=0, keepdims=True))[0])


def _above_chance(observed: Array, expected: Array) -> Array:
    """(observed − expected) / (1 − expected); NaN where chance alone gives full agreement."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)


def agreeing_pairs(counts: Array) -> Array:
    """(units, 2): pairs of votes that agree, and all pairs of votes, on each unit."""
    votes = counts.sum(axis=1)
    return np.stack([(counts * (counts - 1)).sum(axis=1) / 2, votes * (votes - 1) / 2], axis=1)


def pairwise_agreement(counts: Array) -> float:
    """Share of the pairs of votes on one unit that agree, over all units. NaN without such a pair."""
    return float(share_of_sums(agreeing_pairs(counts).sum(axis=0, keepdims=True))[0])


def share_of_sums(sums: Array) -> Array:
    """(R, 2) numerators and denominators to (R,) shares; NaN where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[:, 1] > 0, sums[:, 0] / sums[:, 1], np.nan)


def coincidences(counts: Array) -> Array:
    """(units, C, C) coincidence matrices: ordered pairs of votes on a unit, each weighing 1 / (votes − 1).

    Units with fewer than two votes contribute nothing (Krippendorff 2011, "Computing Krippendorff's alpha").
    """
    counts = np.asarray(counts, dtype=np.float64)
    votes = counts.sum(axis=1)  # (U,)
    pairs = counts[:, :, None] * counts[:, None, :]  # (U, C, C)
    diagonal = np.arange(counts.shape[1])
    pairs[:, diagonal, diagonal] -= counts
    weight = np.where(votes > 1, 1 / np.maximum(votes - 1, 1), 0.0)
    return np.asarray(pairs * weight[:, None, None])


def alpha_of_coincidences(matrices: Array, level: Literal["nominal", "ordinal"] = "nominal") -> Array:
    """(R, C, C) summed coincidences to (R,) alphas: 1 − (n − 1) · Σ o·δ / Σ n_c·n_k·δ.

    δ is 1 off the diagonal (nominal), or (Σ_{g=c..k} n_g − (n_c + n_k)/2)² over ordered categories (ordinal).
    """
    totals = matrices.sum(axis=2)  # (R, C)
    n = totals.sum(axis=1)  # (R,)
    size = matrices.shape[1]
    if level == "nominal":
        delta = np.broadcast_to(1.0 - np.eye(size), matrices.shape)
    else:
        middle = np.cumsum(totals, axis=1) - totals / 2  # (R, C): place of the middle of each category
        delta = (middle[:, :, None] - middle[:, None, :]) ** 2
    observed = (matrices * delta).sum(axis=(1, 2))
    expected = (totals[:, :, None] * totals[:, None, :] * delta).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (n - 1) * observed / expected, np.nan)


def krippendorff_alpha(counts: Array, level: Literal["nominal", "ordinal"] = "nominal") -> float:
    """Krippendorff's alpha of `counts` (units, categories); for "ordinal" the columns are in their order."""
    if not len(counts):
        return math.nan
    return float(alpha_of_coincidences(coincidences(counts).sum(axis=0, keepdims=True), level)[0])


def wilson_interval(hits: float, n: int) -> Estimate:
    """A share with its Wilson score interval at 95 % (Wilson 1927). NaN for n = 0."""
    if n == 0:
        return Estimate(math.nan, None, None, 0)
    share = hits / n
    middle = (share + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n)) / (1 + Z_95**2 / n)
    # At 0 and 1 rounding can push a bound past the share itself.
    return Estimate(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)), n)
