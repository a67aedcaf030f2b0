"""How far people agree with each other: the ceiling that judges and reward models are held against.

The figures need comparisons with two or more people's votes. They are counted live from the latest
preferences, or from a snapshot's rows; intervals come from resampling whole prompts.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from django.db.models import Count

from labeling.models import Project, Snapshot
from labeling.selectors.figures import kept_figure
from labeling.selectors.preferences import latest_preferences
from labeling.snapshots.reading import read_snapshot
from labeling.statistics import (
    Array,
    Estimate,
    agreeing_pairs,
    alpha_of_coincidences,
    cluster_bootstrap,
    coincidences,
    confusions,
    fleiss_of_sums,
    fleiss_sums,
    kappa_of_confusions,
    share_of_confusions,
    share_of_sums,
)

OUTCOMES = ("a", "b", "tie", "both_bad")
ORDERED = (0, 2, 1)  # columns of OUTCOMES from A over tie to B: the order that ordinal alpha reads
MINIMUM = 50
# From "A much better" over a tie to "B much better".
STRENGTHS = (("a", 4), ("a", 3), ("a", 2), ("a", 1), ("tie", None), ("b", 1), ("b", 2), ("b", 3), ("b", 4))


class Vote(NamedTuple):
    outcome: str
    strength: int | None = None


# A comparison's prompt, and what each labeler said of it.
Unit = tuple[int, Mapping[int, Vote]]


@dataclass(frozen=True)
class PairAgreement:
    """Two labelers over the `n` comparisons that both voted on. `kappa` is Cohen's; None where it is undefined:
    both said one and the same thing throughout.
    """

    first: str
    second: str
    n: int
    agreement: Estimate
    kappa: Estimate | None


@dataclass(frozen=True)
class Agreement:
    """Figures are None while fewer than `minimum` comparisons have two votes, or where they are undefined.

    `pairwise`: share of pairs of votes on one comparison that agree, the human–human ceiling.
    `alpha`: Krippendorff's, nominal over a, b, tie, both_bad; `alpha_ordinal`: over a < tie < b.
    `alpha_strength`: ordinal over the nine steps of STRENGTHS; its `n` are the comparisons with two such votes. A vote
    for a side without a strength, and "both bad", stand on no step.
    `fleiss`: only where every such comparison has the same number of votes.
    """

    comparisons: int
    prompts: int
    minimum: int
    pairwise: Estimate | None = None
    alpha: Estimate | None = None
    alpha_ordinal: Estimate | None = None
    alpha_strength: Estimate | None = None
    fleiss: Estimate | None = None
    pairs: tuple[PairAgreement, ...] = ()


def project_agreement(project: Project, *, minimum: int = MINIMUM) -> Agreement:
    """The agreement of a project's people, from their latest preferences. Cached until there is a newer
    one.
    """
    return kept_figure(f"agreement-{minimum}", project, lambda: _live_agreement(project, minimum))


def _live_agreement(project: Project, minimum: int) -> Agreement:
    names, units = shared_units(project)
    return agreement_of(units, names, minimum=minimum)


def shared_units(project: Project) -> tuple[dict[int, str], list[Unit]]:
    """Names by labeler, and the comparisons with two or more standing votes. One query."""
    latest = latest_preferences(project).order_by()
    shared = latest.values("comparison_id").annotate(votes=Count("pk")).filter(votes__gte=2)
    rows = latest.filter(comparison_id__in=shared.values("comparison_id")).order_by(
        "comparison_id", "labeler_id"
    )
    votes = rows.values_list(
        "comparison_id", "comparison__prompt_id", "labeler__name", "labeler_id", "outcome", "strength"
    )
    names: dict[int, str] = {}
    units: dict[int, tuple[int, dict[int, Vote]]] = {}
    for comparison, prompt, name, labeler, outcome, strength in votes.iterator(chunk_size=5000):
        names[labeler] = name
        units.setdefault(comparison, (prompt, {}))[1][labeler] = Vote(outcome, strength)
    return names, list(units.values())


def snapshot_agreement(snapshot: Snapshot, *, minimum: int = MINIMUM) -> Agreement:
    """The agreement of the people in a snapshot, as it was then. Raises what `read_snapshot` raises."""
    codes: dict[tuple[str, int], int] = {}
    units: list[Unit] = []
    for row in read_snapshot(snapshot, columns=["prompt_id", "annotators"]):
        votes: dict[int, Vote] = {}
        seen: Counter[str] = Counter()
        for vote in row.annotators:
            # Two people of one name are two people: the second of them on a row is another one than the
            # first.
            person = (vote["labeler"], seen[vote["labeler"]])
            seen[vote["labeler"]] += 1
            votes[codes.setdefault(person, len(codes))] = Vote(vote["outcome"], vote["strength"])
        units.append((row.prompt_id, votes))
    return agreement_of(units, {code: name for (name, _copy), code in codes.items()}, minimum=minimum)


def agreement_of(units: Iterable[Unit], names: Mapping[int, str], *, minimum: int = MINIMUM) -> Agreement:
    """Agreement over units: (prompt, {labeler: vote}) for each comparison. Those with one vote do not count."""
    shared = [(prompt, votes) for prompt, votes in units if len(votes) > 1]
    prompts = np.array([prompt for prompt, _votes in shared])
    known = Agreement(comparisons=len(shared), prompts=len(set(prompts.tolist())), minimum=minimum)
    if len(shared) < max(minimum, 1):
        return known
    given = [[vote.outcome for vote in votes.values()] for _prompt, votes in shared]
    counts = np.array([[said.count(name) for name in OUTCOMES] for said in given])  # (units, outcomes)
    return Agreement(
        comparisons=known.comparisons,
        prompts=known.prompts,
        minimum=minimum,
        pairwise=_known(cluster_bootstrap(agreeing_pairs(counts), prompts, share_of_sums)),
        alpha=_alpha(counts, prompts, "nominal"),
        alpha_ordinal=_alpha(counts[:, ORDERED], prompts, "ordinal"),
        alpha_strength=_alpha_strength(shared, minimum),
        fleiss=_fleiss(counts, prompts),
        pairs=_pairs(shared, names),
    )


def _known(estimate: Estimate) -> Estimate | None:
    return None if math.isnan(estimate.value) else estimate


def _alpha_strength(units: Iterable[Unit], minimum: int) -> Estimate | None:
    """Over the units with two votes that stand on a step; None where fewer than `minimum` have them."""
    steps = {step: column for column, step in enumerate(STRENGTHS)}
    prompts, rows = [], []
    for prompt, votes in units:
        columns = [steps[vote] for vote in votes.values() if vote in steps]
        if len(columns) > 1:
            prompts.append(prompt)
            rows.append(np.bincount(columns, minlength=len(steps)))
    return _alpha(np.array(rows), np.array(prompts), "ordinal") if len(rows) >= max(minimum, 1) else None


def _alpha(counts: Array, prompts: Array, level: Literal["nominal", "ordinal"]) -> Estimate | None:
    size = counts.shape[1]
    sums = coincidences(counts).reshape(len(counts), size * size)

    def statistic(totals: Array) -> Array:
        matrices = totals.reshape(-1, size, size)
        return alpha_of_coincidences(matrices, level)

    return _known(cluster_bootstrap(sums, prompts, statistic))


def _fleiss(counts: Array, prompts: Array) -> Estimate | None:
    votes = counts.sum(axis=1)
    if (votes != votes[0]).any():
        return None
    return _known(cluster_bootstrap(fleiss_sums(counts), prompts, fleiss_of_sums))


def _pairs(units: Iterable[Unit], names: Mapping[int, str], most: int = 30) -> tuple[PairAgreement, ...]:
    """Agreement and Cohen's kappa of the pairs of labelers who share most comparisons."""
    shared: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for prompt, votes in units:
        codes = {labeler: OUTCOMES.index(vote.outcome) for labeler, vote in votes.items()}
        for one, two in combinations(sorted(codes), 2):
            shared[one, two].append((prompt, codes[one], codes[two]))
    largest = sorted(shared.items(), key=lambda item: (-len(item[1]), item[0]))[:most]
    return tuple(_pair(names[one], names[two], np.array(rows)) for (one, two), rows in largest)


def _pair(first: str, second: str, rows: Array) -> PairAgreement:
    """`rows`: (n, 3) prompt, first labeler's code, second's."""
    prompts, one, two = rows.T
    cells = confusions(one, two, len(OUTCOMES))
    return PairAgreement(
        first=first,
        second=second,
        n=len(rows),
        agreement=cluster_bootstrap(cells, prompts, share_of_confusions),
        kappa=_known(cluster_bootstrap(cells, prompts, kappa_of_confusions)),
    )
