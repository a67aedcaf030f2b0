"""Who can be relied on, by the model of Dawid and Skene (1979, "Maximum likelihood estimation of observer error-rates
using the EM algorithm"). Pure numpy.

Each item has one true outcome; each person says an outcome with probabilities that depend on the true one alone, the
person's confusion. Outcomes are 0 = a, 1 = b, 2 = tie, 3 = both bad. Sides mean nothing, so that every item counts as
itself and mirrored (a and b exchanged): confusions and prior come out the same for a and b, whatever the shares of a
and b in the data. Votes stand in lists (item, person, outcome), since items × people is nearly empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labeling.statistics import Array

OUTCOMES = ("a", "b", "tie", "both_bad")
SIZE = len(OUTCOMES)
MIRROR = [1, 0, 2, 3]
SMOOTHING = 1.0  # votes added to each cell of a confusion, items added to each outcome of the prior
MOST_ITERATIONS = 200
ENOUGH = 1e-6
LEAST_WEIGHT = 0.05


@dataclass(frozen=True)
class Fit:
    """`posteriors`: (N, 4) what each item's outcome is; `confusions`: (P, 4, 4), rows the true outcome; `prior`: (4,).

    `log_likelihood` is that of the votes (and of what is known) under the fitted parameters; `objective`, by iteration,
    has the smoothing's own term added, and never falls.
    """

    posteriors: Array
    confusions: Array
    prior: Array
    log_likelihood: float
    objective: tuple[float, ...]

    @property
    def iterations(self) -> int:
        return len(self.objective)


def fit(items: Array, people: Array, outcomes: Array, *, known: Array | None = None) -> Fit:
    """Expectation and maximisation in turn, from the majorities, until the objective gains less than 1e-6 or after 200
    rounds.

    `items`, `people`, `outcomes`: (V,) integers from 0 for each vote; every item from 0 to N − 1 and every person from
    0 to P − 1 occurs. `known`: (N,) the outcome of items where it is known, −1 elsewhere. Raises ValueError without a
    vote.
    """
    if not len(items):
        raise ValueError("reliabilities need votes; there are none")
    count, crowd = int(items.max()) + 1, int(people.max()) + 1
    clamp = _clamp(known, count)
    posteriors = _clamped(_tallies(items, outcomes, count), clamp)
    objective: list[float] = []
    while True:
        prior, confusions = _maximise(posteriors, items, people, outcomes, crowd)
        posteriors, likelihood = _expect(prior, confusions, items, people, outcomes, clamp)
        smoothing = SMOOTHING * float(np.log(prior).sum() + np.log(confusions).sum())
        objective.append(likelihood + smoothing)
        gain = objective[-1] - objective[-2] if len(objective) > 1 else np.inf
        if gain < ENOUGH or len(objective) >= MOST_ITERATIONS:
            return Fit(posteriors, confusions, prior, likelihood / 2, tuple(objective))


def _tallies(items: Array, outcomes: Array, count: int) -> Array:
    """(N, 4) the shares of the votes."""
    counts = np.bincount(items * SIZE + outcomes, minlength=count * SIZE).reshape(count, SIZE)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def _clamp(known: Array | None, count: int) -> Array:
    """(N, 4): which outcomes an item may have: all of them, or the known one alone."""
    if known is None:
        return np.ones((count, SIZE))
    return np.where(known[:, None] < 0, 1.0, np.eye(SIZE)[np.maximum(known, 0)])


def _clamped(shares: Array, clamp: Array) -> Array:
    found = shares * clamp
    total = found.sum(axis=1, keepdims=True)
    # Nobody has said what is known: it is known all the same.
    return np.asarray(np.where(total > 0, found / np.where(total > 0, total, 1), clamp))


def _maximise(
    posteriors: Array, items: Array, people: Array, outcomes: Array, crowd: int
) -> tuple[Array, Array]:
    """Prior (4,) and confusions (P, 4, 4) from the posteriors, of the items and of their mirrors."""
    prior = posteriors.sum(axis=0) + posteriors.sum(axis=0)[MIRROR] + SMOOTHING
    cells = people * SIZE + outcomes
    one_way = np.stack(
        [
            np.bincount(cells, weights=posteriors[items, true], minlength=crowd * SIZE).reshape(crowd, SIZE)
            for true in range(SIZE)
        ],
        axis=1,
    )  # (P, true, said)
    counts = one_way + one_way[:, MIRROR][:, :, MIRROR] + SMOOTHING
    return prior / prior.sum(), np.asarray(counts / counts.sum(axis=2, keepdims=True))


def _expect(
    prior: Array, confusions: Array, items: Array, people: Array, outcomes: Array, clamp: Array
) -> tuple[Array, float]:
    """Posteriors (N, 4), and the log-likelihood of the items and their mirrors (twice that of the items)."""
    said = np.log(confusions)[people, :, outcomes]  # (V, true)
    scores = np.stack(
        [np.bincount(items, weights=said[:, true], minlength=len(clamp)) for true in range(SIZE)], axis=1
    )
    scores = np.where(clamp > 0, scores + np.log(prior), -np.inf)
    top = scores.max(axis=1, keepdims=True)
    shares = np.exp(scores - top)
    total = shares.sum(axis=1, keepdims=True)
    return shares / total, 2 * float((top + np.log(total)).sum())


def posterior(prior: Array, confusions: Array, outcomes: Array) -> Array:
    """(4,) what one item's outcome is, from votes `outcomes` (V,) of people with `confusions` (V, 4, 4)."""
    scores = np.log(prior) + np.log(confusions)[np.arange(len(outcomes)), :, outcomes].sum(axis=0)
    shares = np.exp(scores - scores.max())
    return np.asarray(shares / shares.sum())


def accuracy(prior: Array, confusion: Array) -> float:
    """How often a person with this confusion (4, 4) says the true outcome."""
    return float(prior @ np.diagonal(confusion))


def informedness(prior: Array, confusion: Array) -> float:
    """How much better than chance a person's votes are, in [0.05, 1]: (right − chance) / (1 − chance), as Cohen's kappa
    of vote and truth, chance being that of somebody who votes in the same shares without looking."""
    chance = float((prior @ confusion) @ prior)
    if chance >= 1:
        return LEAST_WEIGHT
    return min(1.0, max(LEAST_WEIGHT, (accuracy(prior, confusion) - chance) / (1 - chance)))
