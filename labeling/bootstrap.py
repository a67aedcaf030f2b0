"""Intervals by resampling whole clusters, pure numpy.

What a cluster adds to the sums is nearly always what many others add, too (one comparison, two votes that agree), so
that sums are made for the different kinds of clusters alone: a million of them cost little more than a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from labeling.statistics import Array, Estimate

BLOCK_CELLS = 4_000_000
MANY_CLUSTERS = 10_000


def cluster_bootstrap(
    sums: Array,
    clusters: Array,
    statistic: Callable[[Array], Array],
    *,
    kind: Array | None = None,
    n: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """`statistic` of the column sums, with a 95 % percentile interval from resampling whole clusters.

    `sums`: (units, m) whatever adds up over units; `clusters`: (units,) which cluster (prompt) a unit
    belongs to; `statistic`: (R, m) sums to (R,) values. With `kind`: (units,) the row of `sums` that is a
    unit's. Two votes on one prompt are not independent, hence clusters. With fewer than two clusters there
    is no interval. `n` is what is reported as the number of units (default: units).
    """
    count = len(clusters) if n is None else n
    if not len(clusters):
        return Estimate(math.nan, None, None, count)
    if kind is None:
        sums, kind = different_rows(sums)
    totals, which = _cluster_kinds(sums, kind, clusters)
    times = np.bincount(which)
    value = float(statistic((times @ totals)[None])[0])
    if len(which) < 2 or math.isnan(value):
        return Estimate(value, None, None, count)
    values = np.concatenate([statistic(weights @ totals) for weights in _resampled(which, resamples, seed)])
    values = values[~np.isnan(values)]
    if not len(values):
        return Estimate(value, None, None, count)
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(value, float(low), float(high), count)


def different_rows(table: Array) -> tuple[Array, Array]:
    """The different rows of (N, m), and (N,) which of them each row is."""
    rows, kind = np.unique(table, axis=0, return_inverse=True)
    return rows, kind.reshape(-1)


def _cluster_kinds(sums: Array, kind: Array, clusters: Array) -> tuple[Array, Array]:
    """(D, m) what the D different kinds of clusters add up to, and (K,) which kind each cluster is.

    Two clusters are of one kind where they hold the same kinds of units, each as often. That is told by the sum of a
    random number for each kind of unit: among a million clusters, two such sums meet by chance once in 30 million
    times.
    """
    _names, codes = np.unique(clusters, return_inverse=True)
    marks = np.random.default_rng(0).integers(2**64, size=len(sums), dtype=np.uint64)
    sign = np.zeros(int(codes.max()) + 1, dtype=np.uint64)
    np.add.at(sign, codes, marks[kind])
    _signs, first, which = np.unique(sign, return_index=True, return_inverse=True)
    place = np.full(len(sign), -1)
    place[first] = np.arange(len(first))  # one cluster stands for all of its kind
    stands = place[codes] >= 0
    totals = np.zeros((len(first), sums.shape[1]))
    np.add.at(totals, place[codes[stands]], sums[kind[stands]])
    return totals, which


def _resampled(which: Array, resamples: int, seed: int) -> Iterator[Array]:
    """(R, D) how often each kind of cluster comes in `resamples` draws of K clusters with replacement, in blocks that
    bound the memory. `which`: (K,) the kind of each cluster.

    Of many clusters of few kinds, the counts are drawn at once, as the multinomial that they are.
    """
    generator = np.random.default_rng(seed)
    size, times = len(which), np.bincount(which)
    if size > MANY_CLUSTERS and size > 8 * len(times):
        rows = max(1, BLOCK_CELLS // len(times))
        for start in range(0, resamples, rows):
            yield generator.multinomial(size, times / size, size=min(rows, resamples - start)).astype(float)
        return
    rows = max(1, BLOCK_CELLS // size)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = which[generator.integers(size, size=(count, size))]
        drawn = drawn + len(times) * np.arange(count)[:, None]
        yield (
            np.bincount(drawn.ravel(), minlength=count * len(times)).reshape(count, len(times)).astype(float)
        )
