"""What can be said of each labeler: how many, how fast, how even-handed, how close to the others."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Length

from labeling.models import Labeler, Preference, Project
from labeling.selectors.agreement import Unit, shared_units
from labeling.selectors.figures import kept_figure
from labeling.selectors.preferences import latest_preferences
from labeling.statistics import Estimate, cluster_bootstrap, share_of_sums, wilson_interval

_LEFT = Q(outcome="a", shown_left=F("comparison__response_a")) | Q(
    outcome="b", shown_left=F("comparison__response_b")
)
_DECIDED = Q(outcome__in=["a", "b"])
_LONGER = Q(outcome="a", length_a__gt=F("length_b")) | Q(outcome="b", length_b__gt=F("length_a"))


@dataclass(frozen=True)
class LabelerRow:
    """`left`: share of decided votes for the side shown on the left; ½ is even-handed. `longer`: share for
    the
    longer text, where lengths differ. `others`: share of other people's votes on the same comparisons that
    agree. Each is None without such votes; `seconds` is the median time of a vote, None where none was
    measured.
    """

    labeler: Labeler
    labels: int
    seconds: float | None
    left: Estimate | None
    longer: Estimate | None
    others: Estimate | None


def labeler_rows(project: Project) -> list[LabelerRow]:
    """One row for each person with a standing vote, most labels first. Four queries; cached until a newer
    vote.
    """
    return kept_figure("labelers", project, lambda: _rows(project))


def _rows(project: Project) -> list[LabelerRow]:
    latest = latest_preferences(project).order_by()
    counts = list(_counts(latest))
    labelers = Labeler.objects.in_bulk([row["labeler_id"] for row in counts])
    seconds = _median_seconds(latest)
    others = agreement_with_others(shared_units(project)[1])
    rows = [
        LabelerRow(
            labeler=labelers[row["labeler_id"]],
            labels=row["labels"],
            seconds=seconds.get(row["labeler_id"]),
            left=_share(row["left"], row["sided"]),
            longer=_share(row["longer"], row["uneven"]),
            others=others.get(row["labeler_id"]),
        )
        for row in counts
    ]
    return sorted(rows, key=lambda row: (-row.labels, row.labeler.pk))


def _counts(latest: QuerySet[Preference]) -> Iterable[Mapping[str, int]]:
    lengths = latest.annotate(
        length_a=Length("comparison__response_a__text"), length_b=Length("comparison__response_b__text")
    )
    uneven = _DECIDED & ~Q(length_a=F("length_b"))
    rows: Iterable[Any] = lengths.values("labeler_id").annotate(
        labels=Count("pk"),
        left=Count("pk", filter=_LEFT),
        sided=Count("pk", filter=_DECIDED & Q(shown_left__isnull=False)),
        longer=Count("pk", filter=_LONGER),
        uneven=Count("pk", filter=uneven),
    )
    return rows


def _share(hits: int, n: int) -> Estimate | None:
    return wilson_interval(hits, n) if n else None


def _median_seconds(latest: QuerySet[Preference]) -> dict[int, float]:
    times: dict[int, list[int]] = defaultdict(list)
    measured = latest.filter(duration_ms__isnull=False).values_list("labeler_id", "duration_ms")
    for labeler, duration in measured.iterator(chunk_size=5000):
        times[labeler].append(duration or 0)
    return {labeler: median(values) / 1000 for labeler, values in times.items()}


def agreement_with_others(units: Iterable[Unit]) -> dict[int, Estimate]:
    """For each labeler, the share of the others' votes on shared comparisons that say the same, by prompt
    clusters.
    """
    sums: dict[int, list[tuple[int, int]]] = defaultdict(list)
    prompts: dict[int, list[int]] = defaultdict(list)
    for prompt, votes in units:
        given = list(votes.values())
        for labeler, outcome in votes.items():
            sums[labeler].append((given.count(outcome) - 1, len(given) - 1))
            prompts[labeler].append(prompt)
    found = {
        labeler: cluster_bootstrap(np.array(rows), np.array(prompts[labeler]), share_of_sums, resamples=500)
        for labeler, rows in sums.items()
    }
    return {labeler: estimate for labeler, estimate in found.items() if not math.isnan(estimate.value)}
