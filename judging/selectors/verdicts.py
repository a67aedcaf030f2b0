"""Verdicts side by side: both orders of each judge version on a comparison, and what they say together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from judging.engines.base import swap_average, vote_share
from judging.models import JudgeVersion, Order, Verdict, VerdictOutcome, VerdictStatus
from labeling.models import Comparison

_WORTH = {"a": 1.0, "tie": 0.5, "b": 0.0}


@dataclass(frozen=True)
class PairedVerdict:
    """One judge version on one comparison. Everything is against the comparison's own responses."""

    version: JudgeVersion
    comparison_id: int
    ab: Verdict | None
    ba: Verdict | None

    @property
    def both(self) -> list[Verdict]:
        """Those that were asked for."""
        return [verdict for verdict in (self.ab, self.ba) if verdict is not None]

    @property
    def are_both_read(self) -> bool:
        return self.ab is not None and self.ba is not None and self.ab.is_read and self.ba.is_read

    @property
    def agrees(self) -> bool | None:
        """Whether both orders say the same; None unless both were read."""
        if self.ab is None or self.ba is None or not self.are_both_read:
            return None
        return self.ab.outcome == self.ba.outcome

    @property
    def outcome(self) -> str:
        """What both orders say; empty when they differ or one was not read."""
        return self.ab.outcome if self.agrees and self.ab is not None else ""

    @property
    def p_a(self) -> float | None:
        """P(a ≻ b): label probabilities of both orders averaged in logit space; else the share of votes."""
        if self.ab is None or self.ba is None or not self.are_both_read:
            return None
        if self.ab.p_a is not None and self.ba.p_a is not None:
            return swap_average(self.ab.p_a, self.ba.p_a)
        return vote_share(_WORTH[self.ab.outcome] + _WORTH[self.ba.outcome], 2)

    @property
    def note(self) -> str:
        """Why there is no outcome, in words; empty where there is one."""
        if self.agrees:
            return ""
        if self.agrees is False:
            return _("the verdict changes with the order")
        failed = next((v for v in (self.ab, self.ba) if v is not None and not v.is_read), None)
        return str(VerdictStatus(failed.status).label) if failed is not None else _("asked in one order only")


def paired_verdicts(
    comparisons: Iterable[Comparison | int], *, versions: Sequence[JudgeVersion] | None = None
) -> dict[int, list[PairedVerdict]]:
    """Paired verdicts by comparison id, judges by name, newest version first. One query.

    At most some thousands of comparisons at a time: their ids go into the query. Without `versions`, all
    that have said something.
    """
    ids = [item.pk if isinstance(item, Comparison) else item for item in comparisons]
    rows: QuerySet[Verdict] = Verdict.objects.filter(comparison_id__in=ids).select_related(
        "judge_version__judge"
    )
    if versions is not None:
        rows = rows.filter(judge_version__in=versions)
    found: dict[int, dict[int, dict[str, Verdict]]] = {pk: {} for pk in ids}
    for verdict in rows.order_by("judge_version__judge__name", "-judge_version__number", "pk"):
        orders = found[verdict.comparison_id].setdefault(verdict.judge_version_id, {})
        orders[verdict.order] = verdict
    return {pk: [_paired(pk, orders) for orders in by_version.values()] for pk, by_version in found.items()}


def latest_paired(comparison: Comparison) -> list[PairedVerdict]:
    """For each judge, its newest version that has judged this comparison."""
    seen: set[int] = set()
    latest = []
    for paired in paired_verdicts([comparison])[comparison.pk]:
        if paired.version.judge_id not in seen:
            seen.add(paired.version.judge_id)
            latest.append(paired)
    return latest


def judge_disagreements(comparison_ids: Sequence[int]) -> dict[int, float]:
    """How far judges differ on each comparison: the spread of P(a ≻ b), in [0, 1]; two judges at least."""
    spread: dict[int, float] = {}
    for pk, rows in paired_verdicts(comparison_ids).items():
        newest: dict[int, float] = {}
        for paired in rows:
            if paired.p_a is not None:
                newest.setdefault(paired.version.judge_id, paired.p_a)
        if len(newest) > 1:
            spread[pk] = max(newest.values()) - min(newest.values())
    return spread


def outcomes_given(version: JudgeVersion, comparison_ids: Iterable[int]) -> dict[int, list[str]]:
    """What a version said of each comparison that it was asked about: an outcome against the comparison's own responses
    for each order, empty for an answer that was not read. One query, with the ids in it."""
    found: dict[int, list[str]] = {}
    rows = Verdict.objects.filter(judge_version=version, comparison_id__in=list(comparison_ids))
    for pk, outcome in rows.order_by("comparison_id", "order").values_list("comparison_id", "outcome"):
        found.setdefault(pk, []).append(outcome)
    return found


def _paired(comparison_id: int, orders: dict[str, Verdict]) -> PairedVerdict:
    version = next(iter(orders.values())).judge_version
    return PairedVerdict(version, comparison_id, orders.get(Order.AB), orders.get(Order.BA))


def swapped_outcome(outcome: str) -> str:
    """The outcome as seen from the other side."""
    return {VerdictOutcome.A.value: "b", VerdictOutcome.B.value: "a"}.get(outcome, outcome)
