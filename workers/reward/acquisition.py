"""Which comparisons to put to people next: acquisition functions. numpy alone, nothing but arrays in and out.

N open comparisons stand between U responses; ``a`` and ``b`` (N,) int64 number the two of each. Most functions give
one value for each comparison, to be sorted by; ``k_center`` and ``information_gain`` choose a batch, since what a
comparison is worth to them depends on what was chosen before it. All are blind to which side is called ``a``.

``covering`` of the expected change is the best found where embeddings are at hand; ``covering`` of the entropy
(``predict.entropy``) needs scores alone and is the order of the app's queue. docs/experiments.md has the figures,
``simulate`` makes them anew.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .predict import entropy

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def disagreement(p: ArrayLike) -> Array:
    """What the outcome would tell about which head is right, in bits: ``H(mean_k p_k) - mean_k H(p_k)``.

    ``p`` (N, K) holds each head's ``P(a beats b)``. 0 with one head, or where all heads agree. BALD, Houlsby et al.
    2011, arXiv 1112.5745.
    """
    heads = np.asarray(p, dtype=np.float64)
    return np.asarray(np.maximum(0.0, entropy(heads.mean(axis=-1)) - entropy(heads).mean(axis=-1)))


def expected_change(p: ArrayLike, distance: ArrayLike) -> Array:
    """Expected length of the Bradley-Terry gradient, ``2·p·(1-p)·‖φ_a - φ_b‖``, for ``p`` and ``distance`` (N,).

    The gradient is ``(σ(Δ) - y)·(φ_a - φ_b)``; the model itself gives ``y = 1`` the chance ``p``. Expected gradient
    length, Settles, Craven and Ray 2007.
    """
    chance = np.asarray(p, dtype=np.float64)
    return np.asarray(2.0 * chance * (1.0 - chance) * np.asarray(distance, dtype=np.float64))


def squared_distances(embeddings: Array, a: Index, b: Index) -> Array:
    """``‖φ_a - φ_b‖²`` (N,) for embeddings (U, E)."""
    return np.asarray(((embeddings[a] - embeddings[b]) ** 2).sum(axis=1))


def k_center(embeddings: Array, a: Index, b: Index, asked: tuple[Index, Index], count: int) -> Index:
    """``count`` comparisons, each the farthest from all asked before it; indices into ``a``, in order.

    A comparison is the point ``φ_a - φ_b``, which as a question is the same as ``φ_b - φ_a``: distance is the smaller
    of the two. ``asked`` are the comparisons (M,) with a label; the origin, where both responses are equal and there is
    nothing to ask, counts as one of them. Greedy 2-approximation of the k-center problem
    (Gonzalez 1985; core-set selection, Sener and Savarese 2018, arXiv 1708.00489). O(U²·E + (M + count)·N), holding
    U² floats.
    """
    gram = embeddings @ embeddings.T  # (U, U)

    def norms(x: Index, y: Index) -> Array:
        return np.asarray(gram[x, x] + gram[y, y] - 2.0 * gram[x, y])

    own = norms(a, b)  # (N,)

    def away(x: int, y: int) -> Array:
        inner = gram[x][a] - gram[x][b] - gram[y][a] + gram[y][b]
        size = gram[x, x] + gram[y, y] - 2.0 * gram[x, y]
        return np.asarray(own + size - 2.0 * np.abs(inner))

    nearest = own.copy()  # the distance from the origin
    for x, y in zip(*asked, strict=True):
        np.minimum(nearest, away(x, y), out=nearest)
    chosen: list[int] = []
    for _ in range(min(count, len(a))):
        i = int(nearest.argmax())
        chosen.append(i)
        np.minimum(nearest, away(a[i], b[i]), out=nearest)
        nearest[chosen] = -np.inf
    return np.array(chosen, dtype=np.int64)


def score_covariance(embeddings: Array, a: Index, b: Index, information: Array) -> Array:
    """Posterior covariance (U, U) of the scores ``φ·w`` under ``w ~ N(0, I)`` by Laplace's approximation.

    ``a``, ``b`` (M,) are the labeled comparisons, ``information`` (M,) their ``C·p·(1-p)`` at the fitted weights:
    ``Φ·(I + Σ information·(φ_a - φ_b)(φ_a - φ_b)ᵀ)⁻¹·Φᵀ``, the inverse Hessian of the starter's loss seen from the
    responses.
    """
    points = embeddings[a] - embeddings[b]  # (M, E)
    hessian = np.eye(embeddings.shape[1]) + (points * information[:, None]).T @ points
    half = np.linalg.solve(np.linalg.cholesky(hessian), embeddings.T)  # (E, U)
    return np.asarray(half.T @ half)


def information_gain(covariance: Array, a: Index, b: Index, information: Array, count: int) -> Index:
    """``count`` comparisons that together shrink the posterior most, greedily; indices into ``a``, in order.

    The gain of one is ``½·ln(1 + information·Var(Δ))`` with ``Var(Δ) = Σ_aa + Σ_bb - 2·Σ_ab``: D-optimal design, for
    reward models Shen, Sun and Ton 2025, arXiv 2502.04354. Each choice conditions the covariance before the next, so
    near copies of it lose their gain. ``covariance`` (U, U) is ``score_covariance``, ``information`` (N,) is
    ``C·p·(1-p)``. O(count·(N + count·U)).
    """
    variance = np.diag(covariance)[a] + np.diag(covariance)[b] - 2.0 * covariance[a, b]  # (N,)
    open_ = np.ones(len(a), dtype=bool)
    size = min(count, len(a))
    updates = np.zeros((size, len(covariance)))  # covariance now = covariance - updatesᵀ @ updates
    chosen = np.zeros(size, dtype=np.int64)
    for step in range(size):
        i = int(np.where(open_, information * variance, -1.0).argmax())  # ln(1 + x) is monotone in x
        chosen[step], open_[i] = i, False
        x, y, done = a[i], b[i], updates[:step]
        column = covariance[:, x] - covariance[:, y] - (done[:, x] - done[:, y]) @ done  # (U,)
        column *= np.sqrt(information[i] / (1.0 + information[i] * variance[i]))
        updates[step] = column
        variance -= (column[a] - column[b]) ** 2
    return chosen


def coverage(n_a: ArrayLike, n_b: ArrayLike) -> Array:
    """``½·(1/(1 + n_a) + 1/(1 + n_b))`` in (0, 1]: how little is known of two responses with so many labels.

    A response's score has variance ``1/(1 + n)`` after n comparisons when scores are independent, every outcome
    counts one unit of information and so does the prior: with ``p·(1-p)`` this is the information gain of a
    Bradley-Terry model without features, and costs two additions instead of a covariance.
    """
    a, b = np.asarray(n_a, dtype=np.float64), np.asarray(n_b, dtype=np.float64)
    return np.asarray(0.5 / (1.0 + a) + 0.5 / (1.0 + b))


def covering(value: ArrayLike, a: Index, b: Index, labels: ArrayLike, *, most: int = 20_000) -> Array:
    """``value·coverage`` of each comparison (N,) at its turn, each turn going to the highest; in [0, max value].

    A comparison that had its turn counts as labeled for those after it, so a response stands once at the front of
    the queue and again further down. ``labels`` (U,) are the comparisons with a label for each response; ``value``
    (N,) is not negative.

    A value can only fall as turns pass, so a heap of values that may be out of date is enough (lazy greedy, Minoux
    1978). The ``most`` best at the start take turns one by one; the others are valued as if those were labeled:
    O(N + most·log most) for any N.
    """
    worth = np.asarray(value, dtype=np.float64)
    known = np.asarray(labels, dtype=np.int64).tolist()
    out = worth * coverage(*(np.asarray(labels)[side] for side in (a, b)))
    order = np.argsort(-out, kind="stable")
    first, rest = order[:most], order[most:]
    sides = list(zip(worth[first].tolist(), a[first].tolist(), b[first].tolist(), strict=True))
    heap = [(-now, turn) for turn, now in enumerate(out[first].tolist())]  # sorted, so a heap already
    turns = np.zeros(len(first))
    while heap:
        stale, i = heap[0]
        own, x, y = sides[i]
        now = -own * (0.5 / (1 + known[x]) + 0.5 / (1 + known[y]))
        if now > stale:
            heapq.heapreplace(heap, (now, i))
            continue
        heapq.heappop(heap)
        turns[i] = -now
        known[x] += 1
        known[y] += 1
    after = np.asarray(known)
    out[first] = turns
    out[rest] = worth[rest] * coverage(after[a[rest]], after[b[rest]])
    return out
