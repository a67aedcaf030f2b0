"""Settling comparisons: from the latest preference of each person to one outcome.

Rule "majority": the outcome with strictly the most votes; where there is none (1–1, or 1 for A and 1 for a tie), a
tie. The soft label `p_a` is the share of votes for response_a, ties and both-bad counting half to each side.
Rule "reliability" (a project's setting, once reliabilities are fitted): the same of the probabilities that the votes
give under each person's own confusion. With one vote of a reliable person `p_a` is near 0 or 1: it is what the model
believes, not a share of votes, which the counts beside it say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import itemgetter
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from labeling.models import (
    LABEL_OUTCOMES,
    Comparison,
    Preference,
    Resolution,
    ResolutionRule,
    ResolvedOutcome,
)
from labeling.selectors.preferences import latest_of_one, latest_preferences
from labeling.selectors.reliability import Reliabilities, reliabilities_of
from webapp.kept import Kept, KeptInsert

CHUNK = 1000
ADJUDICATED = "adjudicated"
# Comparison, project, its rule, the person, outcome, strength.
_Vote = tuple[int, int, str, UUID, str, int | None]
_DERIVED = (
    "outcome",
    "p_a",
    "strength",
    "votes_a",
    "votes_b",
    "votes_tie",
    "votes_both_bad",
    "method",
    "is_disputed",
)

_WRITE = KeptInsert(Resolution, upsert=(*_DERIVED, "updated_at"))
_VOTES = Kept(lambda comparison: _votes(latest_of_one(comparison)), comparison=None)


@dataclass
class Tally:
    """Votes on one comparison: counts by outcome, and the sum and number of the strengths given with each.

    `believed`: probabilities by outcome, where reliabilities settle the comparison instead of the counts.
    """

    votes: dict[str, int] = field(default_factory=dict)
    strengths: dict[str, tuple[int, int]] = field(default_factory=dict)
    believed: Mapping[str, float] | None = None

    def add(self, outcome: str, strength: int | None) -> None:
        total, number = self.strengths.get(outcome, (0, 0))
        self.votes[outcome] = self.count(outcome) + 1
        self.strengths[outcome] = (total + (strength or 0), number + (strength is not None))

    def count(self, outcome: str) -> int:
        return self.votes.get(outcome, 0)

    @property
    def total(self) -> int:
        return sum(self.votes.values())

    @property
    def outcome(self) -> str:
        """What has strictly the most votes, or is strictly the most probable; a tie where there is no such one."""
        shares: Mapping[str, float] = self.votes if self.believed is None else self.believed
        most = max(shares.values(), default=0)
        leaders = [outcome for outcome, share in shares.items() if share == most and share]
        return leaders[0] if len(leaders) == 1 else ResolvedOutcome.TIE.value

    @property
    def p_a(self) -> float:
        """Share for response_a in [0, 1], or its probability; ½ with no votes at all."""
        if not self.total:
            return 0.5
        if self.believed is not None:
            return self.believed["a"] + 0.5 * (self.believed["tie"] + self.believed["both_bad"])
        halves = self.count("tie") + self.count("both_bad")
        return (self.count("a") + 0.5 * halves) / self.total

    @property
    def strength(self) -> float | None:
        """Mean strength of the votes for the winning side; None for ties, or where no such vote gave one."""
        total, number = self.strengths.get(self.outcome, (0, 0)) if self.outcome in ("a", "b") else (0, 0)
        return total / number if number else None

    @property
    def method(self) -> str:
        return (ResolutionRule.MAJORITY if self.believed is None else ResolutionRule.RELIABILITY).value

    @property
    def is_disputed(self) -> bool:
        return self.count("a") > 0 and self.count("b") > 0


def resolve_comparisons(comparison_ids: Iterable[int]) -> set[int]:
    """Recompute the resolutions of these comparisons from the latest preferences.

    Idempotent and deterministic: rows that already say the same are left alone, a comparison without votes
    loses its row, an adjudicated outcome stays (only its vote counts follow). Five queries at most for each
    1,000 comparisons, whose rows are locked in id order: two callers can neither deadlock nor lose a vote.
    Returns the comparisons whose resolutions are others now, counts of votes included.
    """
    ids = iter(sorted(set(comparison_ids)))
    changed: set[int] = set()
    for chunk in iter(lambda: list(islice(ids, CHUNK)), []):
        with transaction.atomic():
            locked = Comparison.objects.select_for_update(no_key=True).filter(pk__in=chunk).order_by("pk")
            projects = dict(locked.values_list("pk", "project_id"))
            present = Resolution.objects.in_bulk(list(projects))
            changed |= _settle(projects, present, read_tallies(projects))
    return changed


def resolve_locked(comparison: Comparison) -> bool:
    """As `resolve_comparisons`, for one whose row the caller has locked, and read with its resolution after that: two
    queries; one more where reliabilities settle it."""
    present = {comparison.pk: comparison.resolution} if hasattr(comparison, "resolution") else {}
    tallies = _tallies(_VOTES.rows(comparison=comparison.pk))
    return bool(_settle({comparison.pk: comparison.project_id}, present, tallies))


def resolve_first(vote: Preference) -> None:
    """The same after the first vote on a comparison, where votes are counted: it is the tally, and nothing is read."""
    tally = Tally()
    tally.add(vote.outcome, vote.strength)
    _WRITE.run(_row(vote.comparison_id, vote.project_id, tally, kept=None))


def _settle(
    projects: dict[int, int], present: Mapping[int, Resolution], tallies: Mapping[int, Tally]
) -> set[int]:
    """`projects` by comparison, all of them locked; `present` are their resolutions. Returns whose changed."""
    changed = list(_changed_rows(projects, tallies, present))
    resolutions_write(changed)
    orphans = [pk for pk, row in present.items() if pk not in tallies and row.method != ADJUDICATED]
    if orphans:
        Resolution.objects.filter(pk__in=orphans).delete()
    return {row.comparison_id for row in changed} | set(orphans)


def resolutions_write(rows: Sequence[Resolution]) -> None:
    """Makes these the resolutions of their comparisons, which the caller has locked."""
    if len(rows) == 1:
        _WRITE.run(rows[0])
    elif rows:
        Resolution.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["comparison"],
            update_fields=[*_DERIVED, "updated_at"],
        )


def read_tallies(comparison_ids: Iterable[int]) -> dict[int, Tally]:
    """Votes by comparison, from the latest preferences, in one query; one more for each project that is settled by
    reliability. Only comparisons that have votes."""
    return _tallies(_votes(latest_preferences(comparison_ids)))


def _votes(latest: QuerySet[Preference]) -> QuerySet[Preference, _Vote]:
    return latest.order_by("comparison_id", "pk").values_list(
        "comparison_id", "project_id", "project__resolution_rule", "labeler__uid", "outcome", "strength"
    )


def _tallies(read: Iterable[_Vote]) -> dict[int, Tally]:
    tallies: dict[int, Tally] = {}
    fitted: dict[int, Reliabilities | None] = {}
    for (comparison_id, project_id, rule), votes in groupby(read, key=itemgetter(0, 1, 2)):
        said = [vote[3:] for vote in votes]
        tally = tallies[comparison_id] = Tally()
        for _person, outcome, strength in said:
            tally.add(outcome, strength)
        if rule == ResolutionRule.RELIABILITY:
            if project_id not in fitted:
                fitted[project_id] = reliabilities_of(project_id)
            reliabilities = fitted[project_id]
            if reliabilities is not None:
                tally.believed = reliabilities.believed([vote[:2] for vote in said])
    return tallies


def _changed_rows(
    projects: Mapping[int, int], tallies: Mapping[int, Tally], present: Mapping[int, Resolution]
) -> Iterator[Resolution]:
    for pk, project_id in projects.items():
        old, tally = present.get(pk), tallies.get(pk)
        is_adjudicated = old is not None and old.method == ADJUDICATED
        if tally is None and not is_adjudicated:
            continue
        new = _row(pk, project_id, tally or Tally(), kept=old if is_adjudicated else None)
        if old is None or any(getattr(old, name) != getattr(new, name) for name in _DERIVED):
            yield new


def _row(pk: int, project_id: int, tally: Tally, *, kept: Resolution | None) -> Resolution:
    """The resolution that the votes give; with `kept`, that adjudication with the present vote counts."""
    settled = kept or tally
    return Resolution(
        comparison_id=pk,
        project_id=project_id,
        outcome=str(settled.outcome),
        p_a=settled.p_a,
        strength=settled.strength,
        is_disputed=settled.is_disputed,
        method=settled.method,
        updated_at=timezone.now(),
        **{f"votes_{outcome.value}": tally.count(outcome.value) for outcome in LABEL_OUTCOMES},
    )
