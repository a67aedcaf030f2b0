"""Who works on what: batches with their progress, people with their state, known comparisons."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q
from django.utils import timezone

from labeling.access.core import Capability
from labeling.models import (
    Assignment,
    AssignmentState,
    Batch,
    BatchPerson,
    Comparison,
    ComparisonState,
    ComparisonUse,
    Labeler,
    Membership,
    Project,
)
from labeling.services.checks import known_comparisons
from webapp.caches import page_cache

KNOWN_S = 30


@dataclass(frozen=True)
class BatchRow:
    batch: Batch
    members: list[tuple[str, str]]  # user name, name shown
    total: int
    done: int

    @property
    def people(self) -> list[str]:
        return [shown for _name, shown in self.members]

    @property
    def usernames(self) -> list[str]:
        return [name for name, _shown in self.members]

    @property
    def percent(self) -> int:
        return int(100 * self.done / self.total) if self.total else 0

    @property
    def state(self) -> str:
        """closed, paused, done, stuck (its people cannot finish it), over (the deadline) or open."""
        if self.batch.closed_at:
            return "closed"
        if self.batch.is_paused:
            return "paused"
        if self.done == self.total:
            return "done"
        if self.batch.stuck_told_at:
            return "stuck"
        is_over = self.batch.deadline is not None and self.batch.deadline <= timezone.now()
        return "over" if is_over else "open"


@dataclass(frozen=True)
class PersonRow:
    """`state`: paused, failed, qualifying or working. `answered` counts answers to qualification comparisons."""

    membership: Membership
    state: str
    answered: int
    batches: int
    has_qualified: bool  # where the project asks for it


def batch_rows(project: Project) -> list[BatchRow]:
    """Open batches first, the newest first among them. Three queries."""
    found = Batch.objects.filter(project=project).order_by("-pk")
    return _rows(sorted(found, key=lambda batch: batch.closed_at is not None))


def batch_row(batch: Batch) -> BatchRow:
    return _rows([batch])[0]


def _rows(batches: list[Batch]) -> list[BatchRow]:
    ids = [batch.pk for batch in batches]
    counts: dict[int, dict[str, int]] = {}
    states = Comparison.objects.filter(batch__in=ids).values_list("batch", "state").order_by()
    for pk, state, number in states.annotate(number=Count("pk")):
        counts.setdefault(pk, {})[state] = number
    people: dict[int, list[tuple[str, str]]] = {}
    places = BatchPerson.objects.filter(batch__in=ids).select_related("labeler__user").order_by("pk")
    for place in places:
        user = place.labeler.user
        names = (user.username, str(user)) if user else (place.labeler.name, place.labeler.name)
        people.setdefault(place.batch_id, []).append(names)
    rows = []
    for batch in batches:
        found = counts.get(batch.pk, {})
        total = sum(found.values()) - found.get(ComparisonState.RETIRED, 0)
        rows.append(
            BatchRow(batch, people.get(batch.pk, []), total, total - found.get(ComparisonState.OPEN, 0))
        )
    return rows


def members_who_label(project: Project) -> list[Membership]:
    roles = [role.value for role in Capability.LABEL.value]
    rows = Membership.objects.filter(project=project, role__in=roles).select_related("user", "project")
    return list(rows.order_by("pk"))


def person_rows(project: Project) -> list[PersonRow]:
    """Everybody who may label, also those who have not begun. Four queries."""
    labelers = {row.user_id: row for row in Labeler.objects.filter(project=project, user__isnull=False)}
    answered = dict(
        Assignment.objects.filter(
            comparison__project=project,
            comparison__use=ComparisonUse.QUALIFICATION,
            state=AssignmentState.SUBMITTED,
        )
        .order_by()
        .values_list("labeler")
        .annotate(number=Count("pk"))
    )
    open_batch = Q(batch__project=project, batch__closed_at__isnull=True)
    batches = dict(
        BatchPerson.objects.filter(open_batch).order_by().values_list("labeler").annotate(number=Count("pk"))
    )
    rows = []
    for membership in members_who_label(project):
        labeler = labelers.get(membership.user_id)
        pk = labeler.pk if labeler else 0
        rows.append(
            PersonRow(
                membership=membership,
                state=_state(project, labeler),
                answered=answered.get(pk, 0),
                batches=batches.get(pk, 0),
                has_qualified=bool(project.qualification_size and labeler and labeler.qualified_at),
            )
        )
    return rows


def _state(project: Project, labeler: Labeler | None) -> str:
    if labeler is not None and labeler.paused_at is not None:
        return "paused"
    if project.qualification_size == 0 or (labeler is not None and labeler.qualified_at is not None):
        return "working"
    return "failed" if labeler is not None and labeler.failed_at is not None else "qualifying"


@dataclass(frozen=True)
class CheckCounts:
    gold: int
    qualification: int
    known: int  # more that could become either; up to KNOWN_S seconds old


def check_counts(project: Project) -> CheckCounts:
    uses = Comparison.objects.filter(~Q(use="work") & Q(state="open"), project=project)
    counts = dict(uses.order_by().values_list("use").annotate(number=Count("pk")))
    key = f"known-comparisons:{project.pk}"
    known: int | None = page_cache.get(key)
    if known is None:
        known = known_comparisons(project).filter(label_count=0).count()
        page_cache.set(key, known, KNOWN_S)
    return CheckCounts(
        gold=counts.get(ComparisonUse.GOLD, 0),
        qualification=counts.get(ComparisonUse.QUALIFICATION, 0),
        known=known,
    )


def check_counts_forget(project: Project) -> None:
    page_cache.delete(f"known-comparisons:{project.pk}")
