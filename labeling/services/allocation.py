"""Who gets which comparison next.

`lease_next` never waits for a comparison while it holds another: it takes what nobody has locked, and waits only where
that is nothing, for one row at a time. Leases themselves are in `leases`, where they come from in `draws`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from labeling.models import Assignment, AssignmentState, DrawnBy, Labeler
from labeling.services.bookmark import bookmarks_void, has_freed
from labeling.services.draws import (
    CHECK_NEEDED,
    Work,
    by_priority,
    candidates,
    from_random_key,
    has_batches,
    qualification_draws,
)
from labeling.services.leases import (
    LABELED_STATES,
    LabelingError,
    LeaseLostError,
    PausedError,
    PersonPausedError,
    ProjectPausedError,
    is_swapped,
    lease_end,
    lease_renew,
    lease_take,
    leases_release,
    release_expired,
    slots_recount,
)
from labeling.services.qualification import answers_wanted, is_asked_to_qualify, qualification_settle
from labeling.services.sources import PAIR, Draw, locked, not_shown, shown
from webapp.kept import Kept

__all__ = [
    "CHECK_NEEDED",
    "LABELED_STATES",
    "LabelingError",
    "LeaseLostError",
    "PausedError",
    "PersonPausedError",
    "ProjectPausedError",
    "bookmarks_void",
    "by_priority",
    "candidates",
    "from_random_key",
    "is_swapped",
    "lease_end",
    "lease_next",
    "lease_renew",
    "lease_take",
    "release_expired",
    "slots_recount",
]

_SHOWN = tuple(f"comparison__{name}" for name in PAIR)


def _people(labeler: Any) -> QuerySet[Labeler]:
    people = Labeler.objects.filter(pk=labeler).select_related("project")
    people = people.defer("project__description", "project__guidelines", "project__created_at", "created_at")
    return people.annotate(has_batches=has_batches(), has_freed=has_freed())


_PERSON = Kept(_people, labeler=None)
_PERSON_LOCKED = Kept(
    lambda labeler: _people(labeler).select_for_update(no_key=True, of=("self",)), labeler=None
)
# What a ranking holds is asked about on its own page.
_HELD = Kept(
    lambda labeler: (
        Assignment.objects.filter(labeler=labeler, state=AssignmentState.LEASED)
        .exclude(drawn=DrawnBy.RANKING)
        .select_related(*_SHOWN)
        .defer(*not_shown("comparison__"))
        .order_by("created_at", "id")
    ),
    labeler=None,
)


def lease_next(labeler: Labeler, *, count: int = 2, is_short: bool = False) -> list[Assignment]:
    """Up to `count` comparisons leased to this person, those already leased first and in the same order.

    Fewer, down to none, means that nothing else is left for this person. `is_short`: the caller knows that fewer are
    held, and spares the look. Raises PausedError.
    """
    if not is_short:
        person = person_read(labeler)
        leases = _live_leases(person, count)
        if len(leases) >= count:
            return leases
    while True:
        leases, is_more = _lease_one(labeler, count)
        if not is_more:
            leases, is_more = _lease_waiting(labeler, count, leases)
        if not is_more or len(leases) >= count:
            return leases


def person_read(labeler: Labeler, *, is_locked: bool = False) -> Labeler:
    """The labeler as the database has it now, with project, and what the draws need to know. Raises PausedError."""
    person = (_PERSON_LOCKED if is_locked else _PERSON).first(labeler=labeler.pk)
    if person is None:
        raise Labeler.DoesNotExist
    if person.project.is_paused:
        raise ProjectPausedError
    if person.paused_at is not None:
        raise PersonPausedError
    return person


def _live_leases(person: Labeler, count: int) -> list[Assignment]:
    """What the person holds, oldest lease first.

    Renewed, even where it has lapsed but was not collected yet: it still keeps its slot. A comparison that
    was settled or retired meanwhile is let go.
    """
    held = _HELD.rows(labeler=person.pk)
    for lease in held:
        lease.labeler, lease.comparison.project = person, person.project
    live = [lease for lease in held if lease.comparison.state in LABELED_STATES]
    gone = {lease.pk: lease.comparison_id for lease in held if lease not in live}
    if gone:
        leases_release(gone, Q())
    return [lease for lease in live[:count] if not _is_half_spent(lease) or lease_renew(lease)]


def _is_half_spent(lease: Assignment) -> bool:
    """Only then is it renewed, so that a reload costs no write."""
    half = timedelta(seconds=lease.comparison.project.lease_s / 2)
    return lease.lease_expires_at <= timezone.now() + half


def _lease_one(labeler: Labeler, count: int) -> tuple[list[Assignment], bool]:
    """What the person holds now, one more lease included, and whether there was one more (or none was missing).

    The person's own row is locked first: two tabs ask one after the other, and the second sees what the first got.
    """
    with transaction.atomic():
        person = person_read(labeler, is_locked=True)
        leases = _live_leases(person, count)
        if len(leases) >= count:
            return leases, True
        lease = _drawn_for(person, leases)
        return ([*leases, lease], True) if lease is not None else (leases, False)


def _drawn_for(person: Labeler, leases: list[Assignment]) -> Assignment | None:
    """A new lease: of the qualification set until the person has qualified, then of the project's work."""
    if is_asked_to_qualify(person):
        in_hand = sum(lease.drawn == DrawnBy.QUALIFY for lease in leases)
        if in_hand < answers_wanted(person):
            lease = _taken(person, qualification_draws(person))
            if lease is not None:
                return lease
        if in_hand or not qualification_settle(person):
            return None
    work = Work(person)
    lease = _taken(person, work.draws())
    work.bookmarks_move(lease)
    return lease


def _taken(person: Labeler, draws: Iterable[Draw]) -> Assignment | None:
    for draw in draws:
        comparison = draw.first()
        if comparison is not None:
            return lease_take(person, comparison, person.project, draw.name)
    return None


def _lease_waiting(labeler: Labeler, count: int, leases: list[Assignment]) -> tuple[list[Assignment], bool]:
    """As `_lease_one`, waiting for what it skipped: somebody's passing lock may have been on the last free slot.

    Each comparison is waited for in a transaction of its own. A draw keeps the lock of every row that it found taken on
    the way, so a draw that waited, too, would hold some while it waits for others, and two could wait for each other.
    """
    if not connection.features.has_select_for_update_skip_locked:
        return leases, False
    while True:
        person = person_read(labeler)
        if is_asked_to_qualify(person):
            return leases, False
        left = ((draw, draw.rows.first()) for draw in Work(person).sure_draws())
        found = next(((draw, row.pk) for draw, row in left if row is not None), None)
        if found is None:
            return leases, False
        with transaction.atomic():
            person = person_read(labeler, is_locked=True)
            leases = _live_leases(person, count)
            if len(leases) >= count:
                return leases, True
            draw, pk = found
            comparison = locked(shown(person.pk, draw.rows.filter(pk=pk))).first()
            if comparison is not None:
                lease = lease_take(person, comparison, person.project, draw.name)
                if lease is not None:
                    return [*leases, lease], True
