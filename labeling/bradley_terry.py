"""Bradley–Terry strengths from games between pairs, pure numpy.

P(i beats j) = σ(θ_i − θ_j + β·x), x being what is held equal, such as a difference of lengths (Bradley & Terry 1952;
with a covariate, as in Dubois et al. 2024, arXiv 2404.04475). A tie is half a win for each. The likelihood is maximised
by Newton's steps with a small ridge on θ and β, a weak prior that keeps a player finite who has won every game.
Intervals come from resampling whole clusters (prompts), since the games of one prompt depend on each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.statistics import Estimate

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RIDGE = 1e-3
RESAMPLES = 1000
# Covariates are rounded to tenths, so that games with the same players and covariate are one row of the likelihood.
LEVELS = 10
STEPS_MOST = 50
CLOSE = 1e-9


@dataclass(frozen=True)
class Games:
    """N games. `first` and `second`: (N,) players from 0 to `players` − 1, never the same in one game. `won`: (N,) 1
    where the first won, 0 where the second did, ½ for a tie. `cluster`: (N,) which games belong together, any integers.
    `gap`: (N,) the covariate in [−1, 1], first minus second, or None."""

    players: int
    first: Integers
    second: Integers
    won: Floats
    cluster: Integers
    gap: Floats | None = None


@dataclass(frozen=True)
class Strengths:
    """What the games say. `theta`: (K,) strengths, their mean 0 in each group of `groups`: (K,) players with the same
    number are linked by games; strengths of different groups have no common scale. `low`, `high`: (K,) ends of the 95 %
    intervals, None with one cluster. `games`, `points`: (K,) games and points of each player. `slope` is β, None
    without a covariate, or where it never differs from 0.
    """

    theta: Floats
    low: Floats | None
    high: Floats | None
    groups: Integers
    games: Integers
    points: Floats
    slope: Estimate | None

    def share(self, player: int) -> Estimate:
        """How often the player would beat the average player of its group, with its interval."""
        ends = (self.low, self.high)
        low, high = (None if end is None else float(sigmoid(end[player])) for end in ends)
        return Estimate(float(sigmoid(self.theta[player])), low, high, int(self.games[player]))


def sigmoid(value: Floats | np.float64) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(value, dtype=np.float64))), dtype=np.float64)


def fit(games: Games, *, ridge: float = RIDGE, resamples: int = RESAMPLES, seed: int = 0) -> Strengths:
    """Strengths with intervals. Costs a Newton fit of the different rows for each resample.

    Raises ValueError where a player meets itself, or there is no game.
    """
    if not len(games.first):
        raise ValueError("there are no games")
    if np.any(games.first == games.second):
        raise ValueError("a player cannot play against itself")
    rows = _Rows.of(games)
    best = rows.solve(rows.count, rows.won, np.zeros(rows.size), ridge)
    groups = _linked(games)
    low = high = None
    drawn = np.array(list(rows.resampled(best, ridge, resamples, seed))) if rows.clusters > 1 else None
    if drawn is not None:
        drawn[:, : games.players] = _centred(drawn[:, : games.players], groups)
        low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    slope = None
    if rows.has_gap:
        ends = (None, None) if low is None or high is None else (float(low[-1]), float(high[-1]))
        slope = Estimate(float(best[-1]), ends[0], ends[1], len(games.first))
    return Strengths(
        theta=_centred(best[: games.players], groups),
        low=None if low is None else low[: games.players],
        high=None if high is None else high[: games.players],
        groups=groups,
        games=np.bincount(np.concatenate([games.first, games.second]), minlength=games.players),
        points=_sums(games.first, games.won, games.players)
        + _sums(games.second, 1 - games.won, games.players),
        slope=slope,
    )


def _sums(index: Integers, values: Floats, size: int) -> Floats:
    return np.bincount(index, values, size).astype(np.float64)


@dataclass(frozen=True)
class _Rows:
    """Games as R rows of the likelihood, each with its players and covariate, and their sums by (row, cluster): M of
    them, in `row`, `cluster`, `part` (games) and `part_won` (points of the row's first player)."""

    players: int
    first: Integers
    second: Integers
    gap: Floats
    count: Floats
    won: Floats
    row: Integers
    cluster: Integers
    part: Floats
    part_won: Floats
    clusters: int

    @classmethod
    def of(cls, games: Games) -> _Rows:
        turned = games.first > games.second
        first, second = np.where(turned, games.second, games.first), np.maximum(games.first, games.second)
        won = np.where(turned, 1 - games.won, games.won)
        gap = np.zeros(len(first)) if games.gap is None else np.where(turned, -games.gap, games.gap)
        level = np.rint(gap * LEVELS).astype(np.int64)
        different, row = np.unique(np.stack([first, second, level], axis=1), axis=0, return_inverse=True)
        clusters, cluster = np.unique(games.cluster, return_inverse=True)
        parts, part_of = np.unique(row.reshape(-1) * len(clusters) + cluster, return_inverse=True)
        size = len(different)
        return cls(
            players=games.players,
            first=different[:, 0],
            second=different[:, 1],
            gap=different[:, 2] / LEVELS,
            count=np.bincount(row.reshape(-1), minlength=size).astype(np.float64),
            won=_sums(row.reshape(-1), won, size),
            row=parts // len(clusters),
            cluster=parts % len(clusters),
            part=np.bincount(part_of, minlength=len(parts)).astype(np.float64),
            part_won=_sums(part_of, won, len(parts)),
            clusters=len(clusters),
        )

    @property
    def has_gap(self) -> bool:
        return bool(np.any(self.gap))

    @property
    def size(self) -> int:
        """How many parameters there are: a strength for each player, and β."""
        return self.players + self.has_gap

    def solve(self, count: Floats, won: Floats, start: Floats, ridge: float) -> Floats:
        """The parameters that maximise the likelihood of these (R,) games and points, by Newton's steps from `start`. A
        step that would not better it is halved."""
        found = start
        value, gradient, curve = self._derivatives(found, count, won, ridge)
        for _step in range(STEPS_MOST):
            step = np.linalg.solve(curve, gradient)
            if np.max(np.abs(step)) < CLOSE:
                break
            for _half in range(20):
                after = self._derivatives(found + step, count, won, ridge)
                if after[0] >= value - 1e-12:
                    break
                step = step / 2
            found = found + step
            value, gradient, curve = after
        return found

    def _derivatives(
        self, at: Floats, count: Floats, won: Floats, ridge: float
    ) -> tuple[float, Floats, Floats]:
        """The penalised log-likelihood, its gradient (P,) and minus its second derivative (P, P)."""
        size = self.players
        eta = at[self.first] - at[self.second] + (at[-1] * self.gap if self.has_gap else 0.0)
        chance = sigmoid(eta)
        value = float(won @ eta - count @ np.logaddexp(0.0, eta)) - ridge / 2 * float(at @ at)
        slope, bend = won - count * chance, count * chance * (1 - chance)
        gradient = np.zeros(self.size)
        gradient[:size] = np.bincount(self.first, slope, size) - np.bincount(self.second, slope, size)
        meet = np.bincount(self.first * size + self.second, bend, size * size).reshape(size, size)
        meet = meet + meet.T
        curve = np.zeros((self.size, self.size))
        curve[:size, :size] = np.diag(meet.sum(axis=1)) - meet
        if self.has_gap:
            pull = bend * self.gap
            gradient[-1] = float(slope @ self.gap)
            mixed = np.bincount(self.first, pull, size) - np.bincount(self.second, pull, size)
            curve[:size, -1] = curve[-1, :size] = mixed
            curve[-1, -1] = float(pull @ self.gap)
        return value, gradient - ridge * at, curve + ridge * np.eye(self.size)

    def resampled(self, start: Floats, ridge: float, resamples: int, seed: int) -> Iterator[Floats]:
        """The parameters of each resample of the clusters, as many as there are, drawn with replacement."""
        draw = np.random.default_rng(seed)
        rows = len(self.count)
        for _number in range(resamples):
            drawn = draw.integers(self.clusters, size=self.clusters)
            weight = np.bincount(drawn, minlength=self.clusters)[self.cluster]
            count = _sums(self.row, weight * self.part, rows)
            won = _sums(self.row, weight * self.part_won, rows)
            yield self.solve(count, won, start, ridge)


def _linked(games: Games) -> Integers:
    """(K,) the smallest player that each player is linked to by games, itself included."""
    groups = np.arange(games.players)
    pairs = np.unique(np.stack([games.first, games.second], axis=1), axis=0)
    while True:
        least = np.minimum(groups[pairs[:, 0]], groups[pairs[:, 1]])
        before = groups.copy()
        np.minimum.at(groups, pairs[:, 0], least)
        np.minimum.at(groups, pairs[:, 1], least)
        if np.array_equal(groups, before):
            return groups


def _centred(theta: Floats, groups: Integers) -> Floats:
    """(…, K) strengths with the mean 0 in each group."""
    centred = theta.copy()
    for group in np.unique(groups):
        inside = groups == group
        centred[..., inside] -= theta[..., inside].mean(axis=-1, keepdims=True)
    return centred
