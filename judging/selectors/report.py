"""A judge version against people: the figures of its page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.conf import settings
from django.db.models import Count
from django.db.models.functions import Length
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from judging import statistics as stats
from judging.engines.base import swap_average, vote_share
from judging.models import EngineKind, JudgeVersion, Order, Verdict
from judging.selectors.judges import StatusCount
from judging.statistics import Estimate, Floats, Ints, PositionReport
from labeling.models import Resolution, Snapshot
from labeling.snapshots.files import SnapshotError
from labeling.snapshots.reading import read_snapshot

_WORTH = {stats.A: 1.0, stats.TIE: 0.5, stats.B: 0.0}
MAX_PAIRS = 50_000  # the newest ones; the bootstrap of more than that is not a page's work


@dataclass(frozen=True)
class JudgeReport:
    """Comparisons on whose labels the version itself was trained are left out.

    `labeled` pairs have a settled outcome and were asked in both orders. Coverage is over those.

    `consistent_share`: both orders read and agreeing; `read_share`: both read. `agreement` and its kind are
    over consistent pairs, `probable_agreement` over all read ones, by the swap-averaged P(a ≻ b).
    """

    labeled: int
    pairs: int
    consistent_share: float | None
    read_share: float | None
    agreement: Estimate
    agreement_with_ties: Estimate
    probable_agreement: Estimate
    kappa: Estimate
    longest_wins: Estimate
    position: PositionReport
    confusion: list[tuple[str, list[int]]]
    statuses: list[StatusCount]

    @property
    def consistent_percent(self) -> int:
        return round(100 * (self.consistent_share or 0.0))

    @property
    def read_percent(self) -> int:
        return round(100 * (self.read_share or 0.0))


@dataclass(frozen=True)
class _Table:
    """One row for each comparison that was asked in both orders: (n,) arrays."""

    ids: Ints
    prompts: Ints
    ab: Ints
    ba: Ints
    p_a: Floats
    length_a: Ints
    length_b: Ints
    people: Ints


def judge_report(version: JudgeVersion) -> JudgeReport:
    """All figures of a version, in three queries."""
    table = _table(version)
    consistent = stats.consistent_outcome(table.ab, table.ba)
    has_people = table.people >= 0
    labeled = int(has_people.sum())
    read = (table.ab >= 0) & (table.ba >= 0)
    people, prompts = table.people, table.prompts
    longest = stats.longest_wins(table.length_a, table.length_b)
    # Longest-wins stands beside the judge, so it is measured on the pairs on which the judge is.
    longest_people = np.where(consistent >= 0, people, stats.NONE)
    return JudgeReport(
        labeled=labeled,
        pairs=len(table.ids),
        consistent_share=_share(consistent[has_people] >= 0),
        read_share=_share(read[has_people]),
        agreement=stats.agreement(people, consistent, prompts, with_ties=False),
        agreement_with_ties=stats.agreement(people, consistent, prompts, with_ties=True),
        probable_agreement=stats.half_credit(people, stats.probable_outcome(table.p_a), prompts),
        kappa=stats.cohen_kappa(people, consistent, prompts),
        longest_wins=stats.half_credit(longest_people, longest, prompts),
        position=stats.position_report(table.ab, table.ba, prompts),
        confusion=_confusion_rows(people, consistent),
        statuses=_statuses(version),
    )


def _share(flags: np.ndarray) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _confusion_rows(people: Ints, judge: Ints) -> list[tuple[str, list[int]]]:
    names = [_("people: A"), _("people: B"), _("people: tie")]
    return list(zip(names, stats.confusion(people, judge).tolist(), strict=True))


def _statuses(version: JudgeVersion) -> list[StatusCount]:
    rows = Verdict.objects.filter(judge_version=version).values("status").annotate(n=Count("id"))
    return [StatusCount(row["status"], row["n"]) for row in rows.order_by("-n", "status")]


def _table(version: JudgeVersion) -> _Table:
    rows = (
        Verdict.objects.filter(judge_version=version)
        .order_by("-pk")
        .values_list(
            "comparison_id",
            "order",
            "outcome",
            "p_a",
            "comparison__prompt_id",
            Length("comparison__response_a__text"),
            Length("comparison__response_b__text"),
        )[: MAX_PAIRS * 2]
    )
    by_comparison: dict[int, dict[str, tuple[str, float | None, int, int, int]]] = {}
    for pk, order, outcome, p_a, prompt_id, length_a, length_b in rows:
        by_comparison.setdefault(pk, {})[order] = (outcome, p_a, prompt_id, length_a, length_b)
    seen = trained_on(version)
    both = {pk: orders for pk, orders in sorted(by_comparison.items()) if len(orders) == 2 and pk not in seen}
    people = dict(
        Resolution.objects.filter(project_id=version.judge.project_id).values_list("comparison_id", "outcome")
    )
    ab = stats.encode([orders[Order.AB][0] for orders in both.values()])
    ba = stats.encode([orders[Order.BA][0] for orders in both.values()])
    p_pairs = [(orders[Order.AB][1], orders[Order.BA][1]) for orders in both.values()]
    sizes = [orders[Order.AB][2:] for orders in both.values()]
    columns = np.array(sizes, dtype=np.int64).reshape(len(sizes), 3)
    return _Table(
        ids=np.array(list(both), dtype=np.int64),
        prompts=columns[:, 0],
        ab=ab,
        ba=ba,
        p_a=np.array(
            [_p_a(*row) for row in zip(ab.tolist(), ba.tolist(), p_pairs, strict=True)], dtype=float
        ),
        length_a=columns[:, 1],
        length_b=columns[:, 2],
        people=stats.encode([people.get(pk) for pk in both]),
    )


def trained_on(version: JudgeVersion) -> set[int]:
    """Comparisons from whose labels this version was made: nothing that it says about them is evidence.

    Empty for judges that were not trained here, and when the snapshot's file is gone.
    """
    number = training_snapshot(version)
    if number is None:
        return set()
    snapshot = Snapshot.objects.filter(project_id=version.judge.project_id, number=number).first()
    if snapshot is None:
        return set()
    try:
        rows = read_snapshot(snapshot, splits=("train", "validation"), columns=["comparison_id"])
        return {row.comparison_id for row in rows}
    except SnapshotError:
        return set()


def training_snapshot(version: JudgeVersion) -> int | None:
    """Number of the snapshot that made this version: its own, or that of the model it stands for."""
    if version.engine == EngineKind.SCORER:
        dotted = settings.PAIR_SCORER_SNAPSHOTS.get(version.model)
        return import_string(dotted)(version.judge.project_id) if dotted else None
    trained = version.facts.get("trained")
    return int(trained["snapshot"]) if trained else None


def _p_a(ab: int, ba: int, pair: tuple[float | None, float | None]) -> float:
    """Swap-averaged P(a ≻ b) as in `PairedVerdict.p_a`; NaN where an order was not read."""
    if ab < 0 or ba < 0:
        return float("nan")
    first, second = pair
    if first is not None and second is not None:
        return swap_average(first, second)
    return vote_share(_WORTH[ab] + _WORTH[ba], 2)
