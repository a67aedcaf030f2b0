"""How far people agree with each other: the ceiling that judges and reward models are held against.

The figures need comparisons with two or more people's votes. They are counted live from what people said by their own
judgement, or from a snapshot's rows (which hold what they said last); intervals come from resampling whole prompts.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from django.db.models import Count

from labeling.bootstrap import cluster_bootstrap, different_rows
from labeling.models import Labeler, Preference, Project, Snapshot
from labeling.selectors.figures import kept_figure
from labeling.selectors.preferences import independent_votes
from labeling.snapshots.reading import read_snapshot
from labeling.statistics import (
    Array,
    Estimate,
    agreeing_pairs,
    alpha_of_coincidences,
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


STEPS = {step: place for place, step in enumerate(STRENGTHS)}
PAIRS_MOST = 30


class Said(NamedTuple):
    """Votes as columns, (V,) each; a person votes once on a comparison. `outcome`: its place in OUTCOMES; `step`: its
    place in STRENGTHS, −1 for none."""

    comparison: Array
    prompt: Array
    person: Array
    outcome: Array
    step: Array

    @classmethod
    def of(cls, votes: Iterable[tuple[int, int, int, str, int | None]]) -> Said:
        """From (comparison, prompt, person, outcome, strength) of each vote."""
        flat = array("q")
        for comparison, prompt, person, outcome, strength in votes:
            step = STEPS.get((outcome, strength), -1)
            flat.extend((comparison, prompt, person, OUTCOMES.index(outcome), step))
        return cls(*np.asarray(flat).reshape(-1, 5).T)

    def shared(self) -> Said:
        """Those on comparisons with two votes or more, by comparison and person."""
        _ids, unit, sizes = np.unique(self.comparison, return_inverse=True, return_counts=True)
        order = np.lexsort((self.person, self.comparison))
        order = order[sizes[unit[order]] > 1]
        return Said(*(column[order] for column in self))


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
    """Two queries."""
    votes = independent_votes(Preference.objects.filter(project=project)).order_by()
    shared = votes.values("comparison_id").annotate(votes=Count("pk")).filter(votes__gte=2)
    rows = votes.filter(comparison_id__in=shared.values("comparison_id"))
    read = rows.values_list("comparison_id", "comparison__prompt_id", "labeler_id", "outcome", "strength")
    names = dict(Labeler.objects.filter(project=project).values_list("pk", "name"))
    return agreement_of(Said.of(read.iterator(chunk_size=5000)), names, minimum=minimum)


def snapshot_agreement(snapshot: Snapshot, *, minimum: int = MINIMUM) -> Agreement:
    """The agreement of the people in a snapshot, as it was then. Raises what `read_snapshot` raises."""
    codes: dict[tuple[str, int], int] = {}
    said = Said.of(_annotations(snapshot, codes))
    return agreement_of(said, {code: name for (name, _copy), code in codes.items()}, minimum=minimum)


def _annotations(
    snapshot: Snapshot, codes: dict[tuple[str, int], int]
) -> Iterator[tuple[int, int, int, str, int | None]]:
    """Its votes, for `Said`; `codes` gets a number for each person."""
    for number, row in enumerate(read_snapshot(snapshot, columns=["prompt_id", "annotators"])):
        seen: Counter[str] = Counter()
        for vote in row.annotators:
            # Two people of one name are two people: the second of them on a row is another one than the
            # first.
            person = (vote["labeler"], seen[vote["labeler"]])
            seen[vote["labeler"]] += 1
            code = codes.setdefault(person, len(codes))
            yield number, row.prompt_id, code, vote["outcome"], vote["strength"]


def agreement_of(said: Said, names: Mapping[int, str], *, minimum: int = MINIMUM) -> Agreement:
    """Agreement over these votes, with the names of those who voted. Comparisons with one vote do not count."""
    shared = said.shared()
    _ids, first, unit = np.unique(shared.comparison, return_index=True, return_inverse=True)
    prompts = shared.prompt[first]
    known = Agreement(comparisons=len(prompts), prompts=len(np.unique(prompts)), minimum=minimum)
    if len(prompts) < max(minimum, 1):
        return known
    counts = _counts(unit, shared.outcome, len(prompts), len(OUTCOMES))
    return Agreement(
        comparisons=known.comparisons,
        prompts=known.prompts,
        minimum=minimum,
        pairwise=_known(cluster_bootstrap(agreeing_pairs(counts), prompts, share_of_sums)),
        alpha=_alpha(counts, prompts, "nominal"),
        alpha_ordinal=_alpha(counts[:, ORDERED], prompts, "ordinal"),
        alpha_strength=_alpha_strength(unit, shared.step, prompts, minimum),
        fleiss=_fleiss(counts, prompts),
        pairs=_pairs(shared, names),
    )


def _counts(unit: Array, category: Array, units: int, size: int) -> Array:
    """(units, categories): how often each category was given to each unit."""
    return np.bincount(unit * size + category, minlength=units * size).reshape(units, size)


def _known(estimate: Estimate) -> Estimate | None:
    return None if math.isnan(estimate.value) else estimate


def _alpha_strength(unit: Array, step: Array, prompts: Array, minimum: int) -> Estimate | None:
    """Over the units with two votes that stand on a step; None where fewer than `minimum` have them."""
    stands = step >= 0
    counts = _counts(unit[stands], step[stands], len(prompts), len(STEPS))
    pairable = counts.sum(axis=1) > 1
    if np.count_nonzero(pairable) < max(minimum, 1):
        return None
    return _alpha(counts[pairable], prompts[pairable], "ordinal")


def _alpha(counts: Array, prompts: Array, level: Literal["nominal", "ordinal"]) -> Estimate | None:
    size = counts.shape[1]
    different, kind = different_rows(counts)
    sums = coincidences(different).reshape(len(different), size * size)

    def statistic(totals: Array) -> Array:
        matrices = totals.reshape(-1, size, size)
        return alpha_of_coincidences(matrices, level)

    return _known(cluster_bootstrap(sums, prompts, statistic, kind=kind))


def _fleiss(counts: Array, prompts: Array) -> Estimate | None:
    votes = counts.sum(axis=1)
    if (votes != votes[0]).any():
        return None
    return _known(cluster_bootstrap(fleiss_sums(counts), prompts, fleiss_of_sums))


def _pairs(shared: Said, names: Mapping[int, str]) -> tuple[PairAgreement, ...]:
    """Agreement and Cohen's kappa of the pairs of labelers who share most comparisons."""
    people, person = np.unique(shared.person, return_inverse=True)
    one, two = _met(shared.comparison)
    pair = person[one] * len(people) + person[two]
    pairs, shares = np.unique(pair, return_counts=True)
    most = pairs[np.lexsort((pairs, -shares))[:PAIRS_MOST]]
    found = []
    for number in most:
        first, second = (names[int(people[code])] for code in divmod(int(number), len(people)))
        ones, twos = one[pair == number], two[pair == number]
        found.append(_pair(first, second, shared.prompt[ones], shared.outcome[ones], shared.outcome[twos]))
    return tuple(found)


def _met(comparison: Array) -> tuple[Array, Array]:
    """The places of every two votes on one comparison, of votes that stand by comparison."""
    ones, twos = [], []
    step, more = 1, True
    while more:
        one = np.flatnonzero(comparison[step:] == comparison[:-step])
        ones.append(one)
        twos.append(one + step)
        step, more = step + 1, len(one) > 0 and step + 1 < len(comparison)
    return np.concatenate(ones), np.concatenate(twos)


def _pair(first: str, second: str, prompts: Array, one: Array, two: Array) -> PairAgreement:
    """`one`, `two`: (n,) what the first and the second labeler say of comparisons of these prompts."""
    cells = confusions(one, two, len(OUTCOMES))
    return PairAgreement(
        first=first,
        second=second,
        n=len(prompts),
        agreement=cluster_bootstrap(cells, prompts, share_of_confusions),
        kappa=_known(cluster_bootstrap(cells, prompts, kappa_of_confusions)),
    )
