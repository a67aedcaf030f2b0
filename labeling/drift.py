"""How a labeler changes over time: windows of votes in the order in which they were given. Pure numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from labeling.statistics import Array, Estimate, wilson_interval

WINDOW = 50


@dataclass(frozen=True)
class Window:
    """Votes `start` to `stop` − 1 of a labeler. Figures are None where no vote of the window has them.

    `agreement`: share of other people's votes on the same comparisons that say the same. `left`: share of decided votes
    for the side shown on the left. `seconds`: median time of a vote.
    """

    start: int
    stop: int
    agreement: Estimate | None
    left: Estimate | None
    seconds: float | None

    @property
    def n(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Series:
    """What is known of a labeler's votes in their order, N of them.

    `same`, `others`: (N,) how many of the other people's votes on the comparison say the same, and how many there are.
    `left`: (N,) 1 for the left side, 0 for the right one, NaN for no side. `seconds`: (N,), NaN where not measured.
    """

    same: Array
    others: Array
    left: Array
    seconds: Array

    @cached_property
    def _sums(self) -> Array:
        """(N + 1, 3): the sums of `same`, of `others`, and of votes that have others, over all votes before each."""
        columns = np.stack([self.same, self.others, self.others > 0], axis=1)
        return np.concatenate([np.zeros((1, 3)), np.cumsum(columns, axis=0, dtype=np.float64)])

    def agreement(self, start: int, stop: int) -> Estimate | None:
        """The share over all pairs of votes; its Wilson interval counts each vote that has others once, since the pairs
        of one vote are not independent of each other."""
        same, pairs, votes = (self._sums[stop] - self._sums[start]).tolist()
        return wilson_interval(same / pairs * votes, int(votes)) if pairs else None

    def window(self, start: int, stop: int) -> Window:
        left, seconds = (known(values[start:stop]) for values in (self.left, self.seconds))
        return Window(
            start=start,
            stop=stop,
            agreement=self.agreement(start, stop),
            left=wilson_interval(int(left.sum()), len(left)) if len(left) else None,
            seconds=float(np.median(seconds)) if len(seconds) else None,
        )


def known(values: Array) -> Array:
    return values[~np.isnan(values)]


def windows_of(series: Series, size: int = WINDOW) -> list[Window]:
    """Windows of `size` votes from the first on. A rest of less than half a window belongs to the last one."""
    total = len(series.others)
    count = max(1, math.floor(total / size + 0.5)) if total else 0
    return [
        series.window(number * size, total if number == count - 1 else (number + 1) * size)
        for number in range(count)
    ]


def decline_start(series: Series, windows: Sequence[Window]) -> int | None:
    """The window with which agreement went down, or None where it has not.

    Of all borders between windows, the one where the votes after it agree less than those before it by the most
    standard errors; it counts where the two intervals do not touch.
    """
    best, found = 0.0, None
    for number in range(1, len(windows)):
        border = windows[number].start
        before, after = series.agreement(0, border), series.agreement(border, windows[-1].stop)
        if before is None or after is None or before.low is None or after.high is None:
            continue
        errors = _standard_errors(before, after)
        if errors > best:
            best, found = errors, number if after.high < before.low else None
    return found


def _standard_errors(one: Estimate, other: Estimate) -> float:
    """By how many standard errors of their difference, both being of one share, the first lies above the second."""
    pooled = (one.value * one.n + other.value * other.n) / (one.n + other.n)
    error = math.sqrt(pooled * (1 - pooled) * (1 / one.n + 1 / other.n))
    return (one.value - other.value) / error if error else 0.0
