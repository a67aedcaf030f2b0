"""Cluster bootstrap of ratios of sums, without a loop over resamples.

A draw of C clusters with replacement is a multinomial count for each cluster; a resampled ratio is
``counts @ numerator / counts @ denominator``. Every figure that must be compared on the same resamples uses
one ``Resampler``, so differences between them are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.int64]  # numbers of rows
CHUNK_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A point estimate and its percentile interval; all None when there is nothing to estimate from."""

    value: float | None
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Plain JSON values."""
        return {"value": self.value, "low": self.low, "high": self.high}


EMPTY = Interval(None, None, None)


class Resampler:
    """Resamples N rows by cluster. With a single cluster, rows are drawn instead and ``unit`` says so."""

    def __init__(self, clusters: Sequence[str], *, resamples: int = 2000, seed: int = 0) -> None:
        names, index = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
        self.unit = "cluster" if len(names) > 1 else "row"
        self.index = index if self.unit == "cluster" else np.arange(len(clusters))
        self.size = len(names) if self.unit == "cluster" else len(clusters)
        self.resamples, self.seed = resamples, seed

    def sums(self, columns: Array) -> Array:
        """Resampled column sums (R, M) of ``columns`` (N, M). Memory stays under 32 MB whatever N and R."""
        totals = np.zeros((self.size, columns.shape[1]))
        np.add.at(totals, self.index, columns)
        out = np.zeros((self.resamples, columns.shape[1]))
        rng = np.random.default_rng(self.seed)  # the same draws at every call: that is what pairs them
        chance = np.full(self.size, 1.0 / max(1, self.size))
        step = max(1, CHUNK_CELLS // max(1, self.size))
        for start in range(0, self.resamples, step):
            count = min(step, self.resamples - start)
            out[start : start + count] = rng.multinomial(self.size, chance, size=count) @ totals
        return out

    def ratios(self, numerators: ArrayLike, mask: ArrayLike) -> tuple[Array, Array]:
        """Means over rows under ``mask`` (N,) of each column of ``numerators`` (N, M), and their resamples
        (R, M). Resamples in which no row of the mask was drawn are NaN."""
        kept = np.asarray(mask, dtype=np.float64)
        values = np.asarray(numerators, dtype=np.float64) * kept[:, None]
        drawn = self.sums(np.column_stack([values, kept]))
        total = kept.sum()
        point = values.sum(axis=0) / total if total else np.full(values.shape[1], np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            return point, drawn[:, :-1] / drawn[:, -1:]

    def means_over(self, values: Array, parts: Sequence[Rows]) -> list[tuple[float, Array]]:
        """Mean of ``values`` (N,) over the rows of each part and its resamples (R,), all on the same draws.

        Parts are taken a few at a time, so that memory stays bounded however many there are.
        """
        step = max(1, CHUNK_CELLS // (2 * max(1, len(values))))
        found = []
        for start in range(0, len(parts), step):
            kept = np.zeros((len(values), len(parts[start : start + step])))  # (N, S)
            for column, rows in enumerate(parts[start : start + step]):
                kept[rows, column] = 1.0
            drawn = self.sums(np.concatenate([values[:, None] * kept, kept], axis=1))
            top, bottom = np.hsplit(drawn, 2)
            with np.errstate(invalid="ignore", divide="ignore"):
                ratios, points = top / bottom, (values @ kept) / kept.sum(axis=0)
            found += [(float(point), ratios[:, j].copy()) for j, point in enumerate(points)]
        return found

    def intervals(self, numerators: ArrayLike, mask: ArrayLike, *, level: float = 0.95) -> list[Interval]:
        """Percentile interval of each column's mean under ``mask``."""
        point, drawn = self.ratios(numerators, mask)
        return [interval(point[j], drawn[:, j], level) for j in range(len(point))]


def interval(point: float, drawn: Array, level: float = 0.95) -> Interval:
    """Percentile interval of resampled values (R,); NaN resamples are left out."""
    kept = drawn[np.isfinite(drawn)]
    if not np.isfinite(point) or not len(kept):
        return EMPTY
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(point), float(low), float(high))
