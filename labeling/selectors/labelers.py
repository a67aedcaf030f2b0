"""What can be said of each labeler: how many, how fast, how even-handed, how close to the others and to what is known.

All of it comes from one reading of the project's latest preferences, kept until there is a newer one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import numpy as np
from django.db.models import QuerySet
from django.db.models.functions import Length

from labeling.drift import Series, Window, decline_start, windows_of
from labeling.models import LABEL_OUTCOMES, Labeler, Preference, PreferenceSource, Project
from labeling.selectors.agreement import Unit, Vote
from labeling.selectors.figures import kept_figure
from labeling.selectors.preferences import latest_preferences
from labeling.statistics import Estimate, cluster_bootstrap, share_of_sums, wilson_interval

PAUSE_S = 300  # a longer time between two votes is no work
GAPS_LEAST = 10  # fewer times between votes give no rate
_AT_WORK = (PreferenceSource.WEB, PreferenceSource.API)


class Given(NamedTuple):
    """A vote that stands. `is_left`: whether it is for the side shown on the left, None for no side; `is_longer`:
    whether it is for the longer response, None where lengths are equal or it is for no side."""

    labeler: int
    comparison: int
    prompt: int
    outcome: str
    at: datetime
    source: str
    seconds: float | None
    is_left: bool | None
    is_longer: bool | None
    gold: str


@dataclass(frozen=True)
class Figures:
    """Of one labeler. `rate`: votes an hour of work (pauses of more than five minutes left out), None where there are
    too few or where they were not given here. `left`: share of decided votes for the side shown on the left, ½ is
    even-handed; `longer`: share for the longer text, where lengths differ; `others`: share of other people's votes on
    the same comparisons that agree; `gold`: share of votes on comparisons with a known outcome that say it. Each is
    None without such votes; `seconds` is the median time of a vote, None where none was measured. `windows` are runs of
    50 votes that were given here, in time; `decline` is when they began to agree less.
    """

    labels: int = 0
    rate: float | None = None
    seconds: float | None = None
    left: Estimate | None = None
    longer: Estimate | None = None
    others: Estimate | None = None
    gold: Estimate | None = None
    windows: tuple[tuple[datetime, Window], ...] = ()
    decline: datetime | None = None


@dataclass(frozen=True)
class LabelerRow:
    labeler: Labeler
    figures: Figures


def labeler_rows(project: Project) -> list[LabelerRow]:
    """One row for each person with a standing vote, most labels first."""
    figures = labeler_figures(project)
    labelers = Labeler.objects.filter(project=project).in_bulk(list(figures))
    rows = [LabelerRow(labeler, figures[pk]) for pk, labeler in labelers.items()]
    return sorted(rows, key=lambda row: (-row.figures.labels, row.labeler.pk))


def labeler_figures(project: Project) -> dict[int, Figures]:
    """Figures by labeler, of those with a standing vote. One query while there is no newer vote, else two."""
    return kept_figure("labeler-figures", project, lambda: _figures_of_all(project))


def _figures_of_all(project: Project) -> dict[int, Figures]:
    by_labeler: dict[int, list[Given]] = defaultdict(list)
    for vote in votes_given(latest_preferences(project)):
        by_labeler[vote.labeler].append(vote)
    units = units_of(vote for votes in by_labeler.values() for vote in votes)
    return {labeler: figures_of(votes, units) for labeler, votes in by_labeler.items()}


def votes_given(latest: QuerySet[Preference]) -> Iterable[Given]:
    """The votes of these preferences, in the order in which they were given. One query."""
    rows = latest.annotate(
        length_a=Length("comparison__response_a__text"), length_b=Length("comparison__response_b__text")
    ).order_by("created_at", "pk")
    read = rows.values_list(
        "labeler_id", "comparison_id", "comparison__prompt_id", "outcome", "created_at", "source", "duration_ms",
        "shown_left_id", "comparison__response_a_id", "length_a", "length_b", "comparison__gold_outcome",
    )  # fmt: skip
    for (
        labeler,
        comparison,
        prompt,
        outcome,
        at,
        source,
        ms,
        left,
        response_a,
        *lengths,
        gold,
    ) in read.iterator(chunk_size=5000):
        is_a = outcome == "a" if outcome in ("a", "b") else None
        uneven = is_a is not None and lengths[0] != lengths[1]
        yield Given(
            labeler=labeler,
            comparison=comparison,
            prompt=prompt,
            outcome=outcome,
            at=at,
            source=source,
            seconds=None if ms is None else ms / 1000,
            is_left=None if is_a is None or left is None else is_a == (left == response_a),
            is_longer=is_a == (lengths[0] > lengths[1]) if uneven else None,
            gold=gold if gold in LABEL_OUTCOMES else "",
        )


def units_of(votes: Iterable[Given]) -> dict[int, Unit]:
    """What each labeler said, by comparison."""
    units: dict[int, tuple[int, dict[int, Vote]]] = {}
    for vote in votes:
        units.setdefault(vote.comparison, (vote.prompt, {}))[1][vote.labeler] = Vote(vote.outcome)
    return dict(units)


def figures_of(votes: Sequence[Given], units: Mapping[int, Unit]) -> Figures:
    """The figures of one labeler's votes, in their order. `units` has everybody's votes on the same comparisons."""
    pairs = np.array([_same_and_others(vote, units[vote.comparison][1]) for vote in votes])  # (N, 2)
    seconds = [vote.seconds for vote in votes if vote.seconds is not None]
    windows, decline = _over_time(votes, pairs)
    return Figures(
        labels=len(votes),
        rate=rate_of([vote.at for vote in votes if vote.source in _AT_WORK]),
        seconds=median(seconds) if seconds else None,
        left=share_of([vote.is_left for vote in votes if vote.is_left is not None]),
        longer=share_of([vote.is_longer for vote in votes if vote.is_longer is not None]),
        others=_others(pairs, np.array([vote.prompt for vote in votes])),
        gold=share_of([vote.outcome == vote.gold for vote in votes if vote.gold]),
        windows=windows,
        decline=decline,
    )


def _over_time(
    votes: Sequence[Given], pairs: np.ndarray
) -> tuple[tuple[tuple[datetime, Window], ...], datetime | None]:
    """Windows with the time of their first vote, and when a decline began. What a file brought has no order in time."""
    timed = [number for number, vote in enumerate(votes) if vote.source != PreferenceSource.IMPORT]
    given = [votes[number] for number in timed]
    series = Series(
        same=pairs[timed, 0],
        others=pairs[timed, 1],
        left=np.array([np.nan if vote.is_left is None else float(vote.is_left) for vote in given]),
        seconds=np.array([np.nan if vote.seconds is None else vote.seconds for vote in given]),
    )
    windows = windows_of(series)
    decline = decline_start(series, windows)
    began = None if decline is None else given[windows[decline].start].at
    return tuple((given[window.start].at, window) for window in windows), began


def _same_and_others(vote: Given, said: Mapping[int, Vote]) -> tuple[int, int]:
    """How many other people say the same of this comparison, and how many others there are."""
    return sum(other.outcome == vote.outcome for other in said.values()) - 1, len(said) - 1


def share_of(hits: Sequence[bool]) -> Estimate | None:
    return wilson_interval(sum(hits), len(hits)) if hits else None


def _others(pairs: np.ndarray, prompts: np.ndarray) -> Estimate | None:
    shared = pairs[:, 1] > 0
    found = cluster_bootstrap(pairs[shared], prompts[shared], share_of_sums, resamples=500)
    return None if math.isnan(found.value) else found


def rate_of(times: Sequence[datetime]) -> float | None:
    """Votes an hour, from the times between votes of which none is a pause. None with fewer than ten of them."""
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    worked = [gap for gap in gaps if gap <= PAUSE_S]
    return 3600 * len(worked) / sum(worked) if len(worked) >= GAPS_LEAST and sum(worked) > 0 else None
