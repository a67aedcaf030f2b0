"""What can be said of each labeler: how many, how fast, how even-handed, how close to the others and to what is known.

All of it comes from one reading of the votes that people gave by their own judgement, kept until there is a newer one,
or until managers or an import have changed comparisons, and with them perhaps which outcomes are known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from labeling.bootstrap import cluster_bootstrap
from labeling.drift import Series, Window, decline_start, known, windows_of
from labeling.models import Labeler, Preference, Project
from labeling.selectors.figures import kept_figure
from labeling.selectors.preferences import independent_votes
from labeling.selectors.votes import CODES, Votes, same_and_others, votes_of
from labeling.statistics import Array, Estimate, share_of_sums, wilson_interval

PAUSE_S = 300  # a longer time between two answers is no work
GAPS_LEAST = 10  # fewer times between answers give no rate


@dataclass(frozen=True)
class Figures:
    """Of one labeler's votes: the last answers before others' voices were shown, and none about texts of the own.
    `rate`: answers an hour of work (a ranking is one; pauses of more than five minutes left out), None where there are
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
    """Figures by labeler, of those with a vote. One query while there is no newer vote, else two."""
    return kept_figure(
        "labeler-figures", project, lambda: _figures_of_all(project), version=project.work_epoch
    )


def figures_of_one(labeler: Labeler) -> Figures:
    """The same for one person, from the own votes and the others' on the same comparisons: one query, or three."""
    project = labeler.project
    return kept_figure(
        f"labeler-{labeler.pk}", project, lambda: _figures_of_one(labeler), version=project.work_epoch
    )


def _figures_of_all(project: Project) -> dict[int, Figures]:
    votes = votes_of(independent_votes(Preference.objects.filter(project=project))).in_time()
    same, others = same_and_others(votes.comparison, votes.outcome)
    labelers, starts = np.unique(votes.labeler, return_index=True)
    stops = np.append(starts, len(votes))[1:]
    return {
        labeler: figures_of(votes.take(slice(start, stop)), same[start:stop], others[start:stop])
        for labeler, start, stop in zip(labelers.tolist(), starts, stops, strict=True)
    }


def _figures_of_one(labeler: Labeler) -> Figures:
    own = Preference.objects.filter(labeler=labeler)
    votes = votes_of(independent_votes(own)).in_time()
    on_the_same = Preference.objects.filter(comparison__in=own.values("comparison")).exclude(labeler=labeler)
    said = independent_votes(on_the_same).order_by().values_list("comparison_id", "outcome")
    theirs = np.array(
        [(pk, CODES[outcome]) for pk, outcome in said.iterator(chunk_size=5000)], dtype=np.int64
    )
    comparison, outcome = theirs.reshape(-1, 2).T
    same, others = same_and_others(
        np.concatenate([votes.comparison, comparison]), np.concatenate([votes.outcome, outcome])
    )
    return figures_of(votes, same[: len(votes)], others[: len(votes)])


def figures_of(votes: Votes, same: Array, others: Array) -> Figures:
    """The figures of one labeler's votes, in their order. `same`, `others`: see `same_and_others`."""
    if not len(votes):
        return Figures()
    seconds = known(votes.seconds)
    windows, decline = _over_time(votes, same, others)
    return Figures(
        labels=len(votes),
        rate=rate_of(_answer_times(votes)),
        seconds=float(np.median(seconds)) if len(seconds) else None,
        left=share_of(votes.left),
        longer=share_of(votes.longer),
        others=_others(np.stack([same, others], axis=1), votes.prompt),
        gold=share_of(votes.known),
        windows=windows,
        decline=decline,
    )


def _over_time(
    votes: Votes, same: Array, others: Array
) -> tuple[tuple[tuple[datetime, Window], ...], datetime | None]:
    """Windows with the time of their first vote, and when a decline began. What a file brought has no order in time."""
    timed = ~votes.is_import
    given = votes.take(timed)
    series = Series(same=same[timed], others=others[timed], left=given.left, seconds=given.seconds)
    windows = windows_of(series)
    starts = [datetime.fromtimestamp(given.at[window.start], UTC) for window in windows]
    decline = decline_start(series, windows)
    return tuple(zip(starts, windows, strict=True)), None if decline is None else starts[decline]


def share_of(hits: Array) -> Estimate | None:
    """The share of 1 among the hits (1, 0 or NaN)."""
    told = known(hits)
    return wilson_interval(int(np.count_nonzero(told)), len(told)) if len(told) else None


def _others(pairs: Array, prompts: Array) -> Estimate | None:
    shared = pairs[:, 1] > 0
    found = cluster_bootstrap(pairs[shared], prompts[shared], share_of_sums, resamples=500)
    return None if math.isnan(found.value) else found


def _answer_times(votes: Votes) -> Array:
    """When the answers that were given here were given, in their order. The votes of one ranking are one answer."""
    here = votes.take(votes.is_here)
    is_next = np.append(True, here.ranking[1:] != here.ranking[:-1])[: len(here)]
    return np.asarray(here.at[is_next | (here.ranking == 0)])


def rate_of(times: Array) -> float | None:
    """Answers an hour, from the times (in seconds) between answers of which none is a pause. None with fewer than ten
    of them."""
    gaps = np.diff(times)
    worked = gaps[gaps <= PAUSE_S]
    spent_s = float(worked.sum())
    return 3600 * len(worked) / spent_s if len(worked) >= GAPS_LEAST and spent_s > 0 else None
