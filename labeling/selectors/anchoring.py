"""How often a vote changes after its labeler was shown the other voices (people, judges, reward model)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from django.db.models import OuterRef, Subquery

from labeling.bootstrap import cluster_bootstrap
from labeling.models import LABEL_OUTCOMES, Preference, Project, Reveal, Voice, VoiceKind
from labeling.selectors.figures import kept_figure
from labeling.statistics import Estimate, share_of_sums

# Where an outcome or a voice stands between B and A.
_PLACES = {"a": 1.0, "tie": 0.0, "both_bad": 0.0, "b": -1.0}


class Shown(NamedTuple):
    """A vote that stood when the voices were shown, and what the same person says now."""

    comparison: int
    prompt: int
    before: str
    after: str
    is_regraded: bool


@dataclass(frozen=True)
class Moves:
    """Of `n` changed votes with such a voice on their comparison, how many came nearer to it and how many went away;
    the rest stayed as far from it."""

    n: int
    towards: int
    away: int


@dataclass(frozen=True)
class Anchoring:
    """`shown`: votes whose labeler saw the voices afterwards. `changed`: the share of them with another outcome now;
    `regraded`: the same outcome with another strength. Intervals by prompt; None without such votes. `judges` and
    `model` are None where no changed vote has such a voice.
    """

    shown: int = 0
    changed: Estimate | None = None
    regraded: Estimate | None = None
    judges: Moves | None = None
    model: Moves | None = None


def project_anchoring(project: Project) -> Anchoring:
    """Four queries, or two while there is no newer preference and nobody was shown voices."""
    # Of any project: one entry of an index.
    newest = Reveal.objects.order_by("-pk").values_list("pk", flat=True).first()
    return kept_figure("anchoring", project, lambda: _anchoring(project), version=newest)


def _anchoring(project: Project) -> Anchoring:
    rows = list(_shown(project))
    if not rows:
        return Anchoring()
    changed = [row for row in rows if row.before != row.after]
    places = _voice_places(project, [row.comparison for row in changed])
    return Anchoring(
        shown=len(rows),
        changed=_share([row.before != row.after for row in rows], rows),
        regraded=_share([row.is_regraded for row in rows], rows),
        judges=_moves(changed, places[VoiceKind.JUDGE]),
        model=_moves(changed, places[VoiceKind.MODEL]),
    )


def _shown(project: Project) -> Iterable[Shown]:
    """One for each (comparison, labeler) with a vote that stood when its own labeler first saw the voices.

    A vote that was undone afterwards counts with what was said last before that.
    """
    seen = Reveal.objects.filter(user=OuterRef("labeler__user"), comparison=OuterRef("comparison"))
    rows = (
        Preference.objects.filter(project=project, labeler__user__isnull=False)
        .annotate(seen_at=Subquery(seen.values("created_at")[:1]))
        .filter(seen_at__isnull=False)
        .order_by("comparison_id", "labeler_id", "revision")
        .values_list(
            "comparison_id",
            "labeler_id",
            "comparison__prompt_id",
            "outcome",
            "strength",
            "created_at",
            "seen_at",
        )
    )
    for (comparison, _labeler), revisions in groupby(rows.iterator(chunk_size=5000), key=lambda row: row[:2]):
        said = list(revisions)
        before = [row for row in said if row[5] <= row[6]]
        if before and before[-1][3] in LABEL_OUTCOMES:
            last = [row for row in said if row[3] in LABEL_OUTCOMES][-1]
            outcome, strength = before[-1][3:5]
            is_regraded = (last[3], last[4]) != (outcome, strength) and last[3] == outcome
            yield Shown(comparison, said[0][2], outcome, last[3], is_regraded)


def _share(hits: list[bool], rows: list[Shown]) -> Estimate | None:
    sums = np.array([[float(hit), 1.0] for hit in hits])
    found = cluster_bootstrap(sums, np.array([row.prompt for row in rows]), share_of_sums)
    return None if math.isnan(found.value) else found


def _voice_places(project: Project, comparisons: list[int]) -> dict[str, dict[int, float]]:
    """By kind and comparison, where such voices stand on average: 1 for A, −1 for B. One query."""
    found: dict[str, dict[int, list[float]]] = {kind: defaultdict(list) for kind in VoiceKind.values}
    voices = Voice.objects.filter(project=project, comparison_id__in=comparisons).exclude(outcome="")
    for kind, comparison, outcome, p_a in voices.values_list("kind", "comparison_id", "outcome", "p_a"):
        place = _PLACES[outcome] if p_a is None else 2 * p_a - 1
        found[kind][comparison].append(place)
    return {
        kind: {comparison: sum(places) / len(places) for comparison, places in by_comparison.items()}
        for kind, by_comparison in found.items()
    }


def _moves(changed: Iterable[Shown], places: Mapping[int, float]) -> Moves | None:
    steps = [
        abs(_PLACES[row.before] - places[row.comparison]) - abs(_PLACES[row.after] - places[row.comparison])
        for row in changed
        if row.comparison in places
    ]
    if not steps:
        return None
    return Moves(n=len(steps), towards=sum(s > 0 for s in steps), away=sum(s < 0 for s in steps))
