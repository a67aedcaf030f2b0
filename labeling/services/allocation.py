"""Who gets which comparison next: leases, and how they come back.

Every change of a comparison's open slots happens under a lock on its row (PostgreSQL) or in an immediate
transaction (SQLite). Locks are taken in one order, comparison before assignment; `lease_next` itself never
waits for a comparison while it holds another. The database's check constraint (open_slots >= 0) stands behind
all of it.
"""

from __future__ import annotations

import hashlib
import random
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import connection, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from labeling.models import (
    IN_QUEUE,
    Assignment,
    AssignmentState,
    Comparison,
    ComparisonState,
    DrawnBy,
    Labeler,
    Preference,
    PreferenceSource,
    Project,
)

RELEASE_CHUNK = 500
# A leased comparison may be answered in these states: skips may have sent it to review in the meantime.
LABELED_STATES = (ComparisonState.OPEN, ComparisonState.REVIEW)
SHOWN = ("comparison__prompt", "comparison__response_a", "comparison__response_b", "labeler")


class LabelingError(Exception):
    """What a labeler asked for cannot be done now: `message` says why to people, `code` to programs."""

    code: ClassVar[str]
    message: ClassVar[str | Promise]


class ProjectPausedError(LabelingError):
    """The project's managers have paused labeling."""

    code = "paused"
    message = _("Labeling in this project is paused. Your drafts are kept.")


class LeaseLostError(LabelingError):
    """The lease has lapsed and the comparison has gone to somebody else."""

    code = "lease_lost"
    message = _("This comparison was yours for a limited time, and somebody else has finished it since.")


def is_swapped(labeler: Labeler, comparison_id: int) -> bool:
    """Whether response_b stands on the left for this person: a stable hash, even over both."""
    return bool(hashlib.sha256(f"{labeler.uid}:{comparison_id}".encode()).digest()[0] & 1)


def lease_next(labeler: Labeler, *, count: int = 2) -> list[Assignment]:
    """Up to `count` comparisons leased to this person, those already leased first and in the same order.

    Fewer, down to none, means that nothing else is left for this person. Raises ProjectPausedError.
    """
    project = Project.objects.get(pk=labeler.project_id)
    if project.is_paused:
        raise ProjectPausedError
    leases = _live_leases(labeler, project, count)
    while len(leases) < count:
        lease = _lease_one(labeler, project, leases)
        if lease is None:
            break
        leases.append(lease)
    return leases


def lease_end(project: Project, now: datetime | None = None) -> datetime:
    return (now or timezone.now()) + timedelta(seconds=project.lease_s)


def _live_leases(labeler: Labeler, project: Project, count: int) -> list[Assignment]:
    """What the person holds, oldest lease first.

    Renewed, even where it has lapsed but was not collected yet: it still keeps its slot. A comparison that
    was settled or retired meanwhile is let go.
    """
    held = list(_held(labeler))
    live = [lease for lease in held if lease.comparison.state in LABELED_STATES]
    gone = {lease.pk: lease.comparison_id for lease in held if lease not in live}
    if gone:
        _release(gone, Q())
    for lease in live:
        lease.comparison.project = project
    # Half-spent leases alone are renewed, so that a reload costs no write.
    fresh_until = timezone.now() + timedelta(seconds=project.lease_s / 2)
    return [lease for lease in live[:count] if lease.lease_expires_at > fresh_until or lease_renew(lease)]


def _held(labeler: Labeler) -> QuerySet[Assignment]:
    """The pairs that the person holds; what a ranking holds is asked about on its own page."""
    leases = Assignment.objects.filter(labeler=labeler, state=AssignmentState.LEASED)
    leases = leases.exclude(drawn=DrawnBy.RANKING)
    return leases.select_related(*SHOWN).order_by("created_at", "id")


def lease_renew(assignment: Assignment) -> bool:
    """Extend a lease that still holds its slot. False when it has been collected or finished."""
    end = lease_end(assignment.comparison.project)
    rows = Assignment.objects.filter(pk=assignment.pk, state=AssignmentState.LEASED).update(
        lease_expires_at=end
    )
    assignment.lease_expires_at = end
    return rows == 1


def candidates(labeler: Labeler) -> QuerySet[Comparison]:
    """Comparisons that this person may be given: open, with a free slot, and not had before.

    `IN_QUEUE` repeats the condition of the partial indexes, word for word; the caller adds order and limit.
    """
    had = Assignment.objects.filter(labeler=labeler, comparison=OuterRef("pk")).exclude(
        state=AssignmentState.EXPIRED
    )
    brought_along = Preference.objects.filter(
        labeler=labeler,
        comparison=OuterRef("pk"),
        source__in=[PreferenceSource.IMPORT, PreferenceSource.SIMULATION],
    )
    return Comparison.objects.filter(
        IN_QUEUE, ~Exists(had), ~Exists(brought_along), project_id=labeler.project_id
    )


def by_priority(queryset: QuerySet[Comparison]) -> QuerySet[Comparison]:
    return queryset.order_by("-priority", "id")


def from_random_key(queryset: QuerySet[Comparison], start: float) -> QuerySet[Comparison]:
    return queryset.filter(random_key__gte=start).order_by("random_key", "id")


def _lease_one(labeler: Labeler, project: Project, known: list[Assignment]) -> Assignment | None:
    """One more lease, or None when nothing is left. First among what nobody has locked; then what was skipped, which
    may have been somebody's passing lock on the last free slot, is waited for."""
    with transaction.atomic():
        other = _other_lease(labeler, project, known)
        if other is not None:
            return other
        drawn = "random" if random.random() < project.random_share else "priority"  # noqa: S311 - sampling
        comparison = _draw(candidates(labeler), drawn)
        if comparison is not None:
            return lease_take(labeler, comparison, project, drawn)
    return _lease_waiting(labeler, project, known)


def _lease_waiting(labeler: Labeler, project: Project, known: list[Assignment]) -> Assignment | None:
    """Wait for one comparison at a time, each in a transaction of its own.

    A draw keeps the lock of every row that it found taken on the way, so a draw that waited, too, would hold some
    while it waits for others, and two of them could wait for each other.
    """
    if not connection.features.has_select_for_update_skip_locked:
        return None
    left = by_priority(candidates(labeler)).values_list("pk", flat=True)
    while (pk := left.first()) is not None:
        with transaction.atomic():
            other = _other_lease(labeler, project, known)
            if other is not None:
                return other
            comparison = _locked(candidates(labeler).filter(pk=pk)).first()
            if comparison is not None:
                return lease_take(labeler, comparison, project, "priority")
    return None


def _other_lease(labeler: Labeler, project: Project, known: list[Assignment]) -> Assignment | None:
    """A lease that another tab of this person has just been given. The person's own row is locked first: two tabs ask
    one after the other."""
    Labeler.objects.select_for_update(no_key=True).get(pk=labeler.pk)
    held = _held(labeler).filter(comparison__state__in=LABELED_STATES)
    other = held.exclude(pk__in=[lease.pk for lease in known]).first()
    if other is not None:
        other.comparison.project = project
    return other


def _locked(queryset: QuerySet[Comparison], *, skip_locked: bool = False) -> QuerySet[Comparison]:
    return queryset.select_for_update(skip_locked=skip_locked, no_key=True, of=("self",))


def _draw(queryset: QuerySet[Comparison], drawn: str) -> Comparison | None:
    locked = _locked(queryset, skip_locked=True)
    if drawn == "priority":
        return by_priority(locked).first()
    start = random.random()  # noqa: S311 - a place in the random order, not a secret
    return from_random_key(locked, start).first() or from_random_key(locked, 0.0).first()


def lease_take(labeler: Labeler, comparison: Comparison, project: Project, drawn: str) -> Assignment | None:
    """Lease this comparison to this person, inside a transaction; None when no slot is free."""
    rows = Comparison.objects.filter(pk=comparison.pk, open_slots__gt=0).update(
        open_slots=F("open_slots") - 1
    )
    if not rows:
        return None
    now = timezone.now()
    values: dict[str, Any] = {
        "state": AssignmentState.LEASED,
        "drawn": drawn,
        "lease_expires_at": lease_end(project, now),
        "swapped": is_swapped(labeler, comparison.pk),
        # Leases are shown in the order in which they were taken, a lease taken again included.
        "created_at": now,
        "opened_at": None,
        "finished_at": None,
    }
    own = Assignment.objects.filter(labeler=labeler, comparison=comparison)
    if not own.update(**values):
        Assignment.objects.create(labeler=labeler, comparison=comparison, **values)
    lease = own.select_related(*SHOWN).get()
    lease.comparison.project = project
    return lease


def slots_recount(comparisons: QuerySet[Comparison]) -> None:
    """Set the open slots of these comparisons (locked by the caller) to what labels and leases leave of the
    labels needed.

    Counted anew, not stepped: after the overlap was lowered there may be more leases than places, and a step
    up from zero would forget them and give a place out twice.
    """
    leases = (
        Assignment.objects.filter(comparison=OuterRef("pk"), state=AssignmentState.LEASED)
        .order_by()
        .values("comparison")
        .annotate(number=Count("pk"))
        .values("number")
    )
    comparisons.update(open_slots=Greatest(F("needed") - F("label_count") - Coalesce(Subquery(leases), 0), 0))


def release_expired(now: datetime | None = None) -> int:
    """Collect lapsed leases and give their slots back. Returns how many; safe to run twice at once."""
    moment = now or timezone.now()
    lapsed = Q(lease_expires_at__lte=moment)
    total = 0
    while True:
        rows = dict(
            Assignment.objects.filter(lapsed, state=AssignmentState.LEASED)
            .order_by("lease_expires_at", "pk")
            .values_list("pk", "comparison_id")[:RELEASE_CHUNK]
        )
        released = _release(rows, lapsed) if rows else 0
        total += released
        # Fewer than asked for: the rest is locked by somebody at work, and the next run sees to it.
        if released < RELEASE_CHUNK:
            return total


def _release(rows: dict[int, int], condition: Q) -> int:
    """Expire the leases `rows` (assignment -> comparison) that still meet the condition; returns how many."""
    with transaction.atomic():
        locked = list(
            Comparison.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(pk__in=set(rows.values()))
            .order_by("pk")
            .values_list("pk", flat=True)
        )
        # Read again under the lock: a heartbeat or a submit may have come between.
        released = dict(
            Assignment.objects.select_for_update(skip_locked=True)
            .filter(condition, pk__in=rows, comparison_id__in=locked, state=AssignmentState.LEASED)
            .order_by("pk")
            .values_list("pk", "comparison_id")
        )
        Assignment.objects.filter(pk__in=released).update(state=AssignmentState.EXPIRED)
        if released:
            slots_recount(Comparison.objects.filter(pk__in=set(released.values())))
    return len(released)
