"""The simulator's strategies: each turns a round's model into the next pairs to label by acquisition functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import acquisition
from .linear import bootstrap_weights
from .predict import entropy, sigmoid
from .starter.solver import Array, Design, Index, Problem, fit


@dataclass(frozen=True)
class Round:
    """What a strategy sees: the N open pairs (``open``, indices into ``pairs``, in random order), those with a label,
    and the model fitted on them. Labels of open pairs are in ``pairs`` too; no strategy may look at them."""

    design: Design
    pairs: Problem
    groups: Index
    labeled: Index
    open: Index
    weights: Array
    c: float
    count: int
    heads: int
    rng: np.random.Generator

    @property
    def a(self) -> Index:
        return self.pairs.a[self.open]

    @property
    def b(self) -> Index:
        return self.pairs.b[self.open]

    @cached_property
    def scores(self) -> Array:
        """(U,)."""
        return np.asarray(self.design.rows @ self.weights)

    @cached_property
    def p(self) -> Array:
        """``P(a beats b)`` of the open pairs (N,)."""
        return sigmoid(self.scores[self.a] - self.scores[self.b])

    @property
    def embeddings(self) -> Array:
        """(U, E): features of the responses, rotated into as few columns as hold them."""
        assert isinstance(self.design.rows, np.ndarray)
        return self.design.rows

    @property
    def labels(self) -> Index:
        """Labeled pairs of each response (U,)."""
        both = np.concatenate([self.pairs.a[self.labeled], self.pairs.b[self.labeled]])
        return np.bincount(both, minlength=len(self.scores))

    def head_probabilities(self) -> Array:
        """``P(a beats b)`` of the open pairs by each bootstrap head (N, K), drawn as the starter draws its heads."""
        part = self.pairs.subset(self.labeled)
        _names, groups = np.unique(self.groups[self.labeled], return_inverse=True)
        rows = [
            self.design.rows @ fit(self.design, part.reweighted(times), self.c, start=self.weights)
            for times in bootstrap_weights(groups, self.heads, self.rng)
        ]
        scores = np.stack(rows, axis=1)  # (U, K)
        return sigmoid(scores[self.a] - scores[self.b])


Strategy = Callable[[Round], Index]  # positions in ``Round.open`` of the next ``count`` pairs


def _best(value: Array, count: int) -> Index:
    """The highest; equal ones in the order of the pool, which is random."""
    return np.argsort(-value, kind="stable")[:count]


def _random(r: Round) -> Index:
    return np.arange(r.count)


def _entropy(r: Round) -> Index:
    return _best(entropy(r.p), r.count)


def _disagreement(r: Round) -> Index:
    return _best(acquisition.disagreement(r.head_probabilities()), r.count)


def _change(r: Round) -> Array:
    distance = np.sqrt(acquisition.squared_distances(r.embeddings, r.a, r.b))
    return acquisition.expected_change(r.p, distance)


def _expected_change(r: Round) -> Index:
    return _best(_change(r), r.count)


def _k_center(r: Round) -> Index:
    asked = (r.pairs.a[r.labeled], r.pairs.b[r.labeled])
    return acquisition.k_center(r.embeddings, r.a, r.b, asked, r.count)


def _information_gain(r: Round) -> Index:
    a, b = r.pairs.a[r.labeled], r.pairs.b[r.labeled]
    known = sigmoid(r.scores[a] - r.scores[b])
    covariance = acquisition.score_covariance(r.embeddings, a, b, r.c * known * (1 - known))
    return acquisition.information_gain(covariance, r.a, r.b, r.c * r.p * (1 - r.p), r.count)


def _covering_entropy(r: Round) -> Index:
    return _best(acquisition.covering(entropy(r.p), r.a, r.b, r.labels), r.count)


def _covering_heads(r: Round) -> Index:
    doubt = entropy(r.head_probabilities().mean(axis=1))
    return _best(acquisition.covering(doubt, r.a, r.b, r.labels), r.count)


def _covering_change(r: Round) -> Index:
    return _best(acquisition.covering(_change(r), r.a, r.b, r.labels), r.count)


STRATEGIES: dict[str, Strategy] = {
    "random": _random,
    "entropy": _entropy,
    "disagreement": _disagreement,
    "expected change": _expected_change,
    "k-center": _k_center,
    "information gain": _information_gain,
    "covering entropy": _covering_entropy,
    "covering heads": _covering_heads,  # as the app's queue: the entropy of the mean over the heads
    "covering change": _covering_change,
}
