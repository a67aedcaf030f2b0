"""Leases: taken, renewed, given back. Every change of a comparison's open slots happens under a lock on its row
(PostgreSQL) or in an immediate transaction (SQLite), and locks are taken in one order, comparison before assignment.
The database's check constraint (open_slots >= 0) stands behind all of it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce, Greatest, Now
from django.db.models.lookups import GreaterThan
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from labeling.models import Assignment, AssignmentState, Comparison, ComparisonState, Labeler, Project
from webapp.kept import KeptInsert, KeptUpdate

RELEASE_CHUNK = 500
LAPSES_KEPT = 20
_PLACE_TAKE = KeptUpdate(
    lambda comparison: (
        Comparison.objects.filter(pk=comparison, open_slots__gt=0),
        {"open_slots": F("open_slots") - 1},
    ),
    comparison=None,
)
_MAKE = KeptInsert(Assignment, once=["labeler", "comparison"])
# A leased comparison may be answered in these states: skips may have sent it to review in the meantime.
LABELED_STATES = (ComparisonState.OPEN, ComparisonState.REVIEW)


class LabelingError(Exception):
    """What a labeler asked for cannot be done now: `message` says why to people, `code` to programs."""

    code: ClassVar[str]
    message: ClassVar[str | Promise]


class PausedError(LabelingError):
    """Nothing is handed out for the time being."""


class ProjectPausedError(PausedError):
    """The project's managers have paused labeling."""

    code = "paused"
    message = _("Labeling in this project is paused. Your drafts are kept.")


class PersonPausedError(PausedError):
    """The project's managers have paused this person."""

    code = "person_paused"
    message = _("A manager has paused your work in this project. Your drafts are kept.")


class LeaseLostError(LabelingError):
    """The lease has lapsed and the comparison has gone to somebody else."""

    code = "lease_lost"
    message = _("This comparison was yours for a limited time, and somebody else has finished it since.")


def is_swapped(labeler: Labeler, comparison_id: int) -> bool:
    """Whether response_b stands on the left for this person: a stable hash, even over both."""
    return bool(hashlib.sha256(f"{labeler.uid}:{comparison_id}".encode()).digest()[0] & 1)


def lease_end(project: Project, now: datetime | None = None) -> datetime:
    return (now or timezone.now()) + timedelta(seconds=project.lease_s)


def lease_renew(assignment: Assignment) -> bool:
    """Extend a lease that still holds its slot. False when it has been collected or finished."""
    end = lease_end(assignment.comparison.project)
    rows = Assignment.objects.filter(pk=assignment.pk, state=AssignmentState.LEASED).update(
        lease_expires_at=end
    )
    assignment.lease_expires_at = end
    return rows == 1


def lease_take(labeler: Labeler, comparison: Comparison, project: Project, drawn: str) -> Assignment | None:
    """Lease this comparison to this person, inside a transaction; None when no slot is free, or the person has it."""
    if not _PLACE_TAKE.run(comparison=comparison.pk):
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
    comparison.project = project
    lease = None
    if getattr(comparison, "own_id", True) is not None:  # else the draw saw no lease, which spares the look
        lease = Assignment.objects.filter(labeler=labeler, comparison_id=comparison.pk).first()
    if lease is None:
        lease = Assignment(labeler=labeler, comparison=comparison, **values)
        if _MAKE.run(lease):
            return lease
    elif lease.state == AssignmentState.EXPIRED:
        lease.lapses = lapses_of(lease)
        for name, value in values.items():
            setattr(lease, name, value)
        lease.save(update_fields=["lapses", *values])
        lease.labeler, lease.comparison = labeler, comparison
        return lease
    # Answered, ranked or taken in another tab, while this draw waited.
    Comparison.objects.filter(pk=comparison.pk).update(open_slots=F("open_slots") + 1)
    return None


def lapses_of(lease: Assignment) -> list[list[str]] | None:
    """The earlier leases that ran out, once this one is taken again: it among them, if it did. The last LAPSES_KEPT."""
    if lease.state != AssignmentState.EXPIRED or lease.finished_at is not None:
        return lease.lapses
    this = [lease.created_at.isoformat(), lease.lease_expires_at.isoformat()]
    return [*(lease.lapses or []), this][-LAPSES_KEPT:]


def slots_recount(comparisons: QuerySet[Comparison], *, is_freed: bool = True) -> None:
    """Set the open slots of these comparisons (locked by the caller) to what labels and leases leave of the
    labels needed.

    Counted anew, not stepped: after the overlap was lowered there may be more leases than places, and a step
    up from zero would forget them and give a place out twice. Where places grow, `freed_at` tells the bookmarks,
    unless the caller voids all of them (`is_freed=False`).
    """
    leases = (
        Assignment.objects.filter(comparison=OuterRef("pk"), state=AssignmentState.LEASED)
        .order_by()
        .values("comparison")
        .annotate(number=Count("pk"))
        .values("number")
    )
    places = Greatest(F("needed") - F("label_count") - Coalesce(Subquery(leases), 0), 0)
    changes: dict[str, Any] = {"open_slots": places}
    if is_freed:
        grows = GreaterThan(places, F("open_slots"))
        changes["freed_at"] = Case(When(grows, then=Now()), default=F("freed_at"))
    comparisons.update(**changes)


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
        released = leases_release(rows, lapsed) if rows else 0
        total += released
        # Fewer than asked for: the rest is locked by somebody at work, and the next run sees to it.
        if released < RELEASE_CHUNK:
            return total


def leases_release(rows: dict[int, int], condition: Q) -> int:
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
