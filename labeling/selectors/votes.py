"""Votes as columns: some sixty bytes for each, so that the figures on people can be made of millions of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import numpy as np
from django.db.models import QuerySet
from django.db.models.functions import Length

from labeling.dawid_skene import OUTCOMES
from labeling.models import Preference, PreferenceSource
from labeling.statistics import Array

CHUNK = 20_000
CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}
_HERE = (PreferenceSource.WEB, PreferenceSource.API)
_READ = (
    "labeler_id", "comparison_id", "comparison__prompt_id", "ranking_id", "outcome", "created_at", "source",
    "duration_ms", "shown_left_id", "comparison__response_a_id", "length_a", "length_b", "comparison__gold_outcome",
)  # fmt: skip


@dataclass(frozen=True)
class Votes:
    """(V,) each. `outcome`: its place in OUTCOMES. `ranking`: which one said it, 0 for none. `at`: seconds since 1970.
    `is_here`: given on the page or over REST; `is_import`: brought by a file.

    NaN where there is nothing to say: `seconds` the vote took; `left`: 1 for the side shown on the left, 0 for the
    other one; `longer`: 1 for the longer response, where lengths differ; `known`: 1 where it says the known outcome.
    """

    labeler: Array
    comparison: Array
    prompt: Array
    ranking: Array
    outcome: Array
    at: Array
    is_here: Array
    is_import: Array
    seconds: Array
    left: Array
    longer: Array
    known: Array

    def __len__(self) -> int:
        return len(self.labeler)

    def take(self, which: Array | slice) -> Votes:
        return Votes(*(getattr(self, column.name)[which] for column in fields(self)))

    def in_time(self) -> Votes:
        """One person after the other, each one's votes in the order in which they were given."""
        return self.take(np.lexsort((self.comparison, self.at, self.labeler)))


def votes_of(preferences: QuerySet[Preference]) -> Votes:
    """These preferences, all of them labels, in no order. One query."""
    lengths = {f"length_{side}": Length(f"comparison__response_{side}__text") for side in "ab"}
    rows = iter(preferences.annotate(**lengths).order_by().values_list(*_READ).iterator(chunk_size=5000))
    parts = [_columns([])]
    while chunk := list(islice(rows, CHUNK)):
        parts.append(_columns(chunk))
    return Votes(
        *(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Votes))
    )


def _columns(rows: Sequence[tuple[Any, ...]]) -> Votes:
    columns = tuple(zip(*rows, strict=True)) or ((),) * len(_READ)
    labeler, comparison, prompt, ranking, outcomes, at, sources, ms, shown_left, response_a, *rest = columns
    length_a, length_b, gold = rest
    outcome = np.array([CODES[name] for name in outcomes], dtype=np.int8)
    truth = np.array([CODES.get(name, -1) for name in gold], dtype=np.int8)
    is_a, is_decided = outcome == CODES["a"], outcome <= CODES["b"]
    left = np.array(shown_left, dtype=np.float64)
    longer = np.array(length_a, dtype=np.int64) - np.array(length_b, dtype=np.int64)
    return Votes(
        labeler=np.array(labeler, dtype=np.int64),
        comparison=np.array(comparison, dtype=np.int64),
        prompt=np.array(prompt, dtype=np.int64),
        ranking=np.array([pk or 0 for pk in ranking], dtype=np.int64),
        outcome=outcome,
        at=np.array([moment.timestamp() for moment in at], dtype=np.float64),
        is_here=np.array([name in _HERE for name in sources], dtype=bool),
        is_import=np.array([name == PreferenceSource.IMPORT for name in sources], dtype=bool),
        seconds=np.array(ms, dtype=np.float64) / 1000,
        left=_where(is_decided & ~np.isnan(left), is_a == (left == np.array(response_a, dtype=np.float64))),
        longer=_where(is_decided & (longer != 0), is_a == (longer > 0)),
        known=_where(truth >= 0, outcome == truth),
    )


def _where(is_told: Array, hit: Array) -> Array:
    return np.where(is_told, hit, np.nan).astype(np.float32)


def same_and_others(comparison: Array, outcome: Array) -> tuple[Array, Array]:
    """For each vote of everybody on some comparisons, (V,) each: how many other people say the same, and how many
    others there are."""
    _ids, unit, sizes = np.unique(comparison, return_inverse=True, return_counts=True)
    cell = unit * len(OUTCOMES) + outcome
    alike = np.bincount(cell, minlength=len(sizes) * len(OUTCOMES))
    return alike[cell] - 1, sizes[unit] - 1
