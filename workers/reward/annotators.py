"""How well a model agrees with each annotator, beside how well annotators agree with each other.

A vote for neither side says nothing about sides: it counts in no figure here. A model that gives both sides the same
score agrees by half.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bootstrap import CHUNK_CELLS, EMPTY, Array, Interval, Resampler, interval

SIDE = {"chosen": 1, "rejected": -1}
# Figures of more annotators than this are not listed; those with the most votes are.
MOST_LISTED = 100


@dataclass(frozen=True, slots=True)
class AnnotatorFigure:
    """Over an annotator's ``n`` decided votes: ``model`` is the share with which the model agrees; ``others``, over
    the ``n_others`` decided votes of other people on the same pairs, the share that agrees with the annotator's."""

    annotator: str
    n: int
    model: Interval
    n_others: int
    others: float | None


class Votes:
    """Decided votes in the order they came: row, side (+1 or -1) and annotator of each."""

    def __init__(self) -> None:
        self._rows, self._sides, self._who = array("q"), array("b"), array("q")
        self._names: dict[str, int] = {}

    def add(self, row: int, votes: Mapping[str, str]) -> None:
        """Take the votes on one pair."""
        for name, said in votes.items():
            if said in SIDE:
                self._rows.append(row)
                self._sides.append(SIDE[said])
                self._who.append(self._names.setdefault(name, len(self._names)))

    def figures(self, delta: Array, resampler: Resampler) -> tuple[Interval, int, list[AnnotatorFigure]]:
        """Agreement of two people on a pair, on how many pairs that is, and every annotator's figures, those with
        most votes first."""
        rows = np.array(self._rows, dtype=np.int64)
        sides = np.array(self._sides, dtype=np.float64)
        who = np.array(self._who, dtype=np.int64)
        count, total = np.zeros(len(delta)), np.zeros(len(delta))
        np.add.at(count, rows, 1.0)
        np.add.at(total, rows, sides)
        names = sorted(self._names, key=lambda name: (-int((who == self._names[name]).sum()), name))
        places = {name: np.flatnonzero(who == self._names[name]) for name in names[:MOST_LISTED]}
        agreed = (np.sign(delta[rows]) * sides + 1.0) / 2.0  # (V,)
        found = []
        for (name, place), figure in zip(
            places.items(), _means(agreed, rows, list(places.values()), resampler), strict=True
        ):
            here = rows[place]
            others = count[here] - 1.0
            alike = (others + (total[here] - sides[place]) * sides[place]) / 2.0
            share = float(alike.sum() / others.sum()) if others.sum() else None
            found.append(AnnotatorFigure(name, len(place), figure, int(others.sum()), share))
        return self._between(count, total, resampler), int((count > 1).sum()), found

    @staticmethod
    def _between(count: NDArray[np.float64], total: NDArray[np.float64], resampler: Resampler) -> Interval:
        """Mean over pairs with two votes or more of the share of agreeing pairs of votes."""
        several = count > 1
        if not several.any():
            return EMPTY
        n = np.where(several, count, 2.0)
        share = 0.5 + (total**2 - n) / (2.0 * n * (n - 1.0))
        return resampler.intervals(share[:, None], several)[0]


def _means(
    values: Array, rows: NDArray[np.int64], places: list[NDArray[np.intp]], resampler: Resampler
) -> list[Interval]:
    """Mean of ``values`` (V,) of votes on ``rows`` (V,) over each annotator's votes, all on the same resamples."""
    size = len(resampler.index)
    step = max(1, CHUNK_CELLS // (2 * max(1, size)))
    found = []
    for start in range(0, len(places), step):
        part = places[start : start + step]
        columns = np.zeros((size, 2 * len(part)))
        for i, place in enumerate(part):
            columns[rows[place], i] = values[place]
            columns[rows[place], len(part) + i] = 1.0
        drawn = resampler.sums(columns)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = drawn[:, : len(part)] / drawn[:, len(part) :]
        found += [interval(float(values[place].mean()), ratios[:, i]) for i, place in enumerate(part)]
    return found
