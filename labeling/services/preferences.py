"""Writing preferences: submit, change of mind, undo. Append-only, idempotent, each in one transaction.

The comparison's row is locked first, so everything that happens to one comparison happens in a line: counts,
slots and state always agree with the revisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import CharField, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models import (
    Assignment,
    AssignmentState,
    Comparison,
    ComparisonState,
    Outcome,
    Preference,
    PreferenceSource,
)
from labeling.scheme import read_scheme
from labeling.selectors.preferences import is_change_of_mind
from labeling.selectors.reveals import has_seen_voices
from labeling.services.after_vote import vote_settled
from labeling.services.answers import Answer, answer_append, answer_count, answer_record
from labeling.services.leases import LABELED_STATES, LabelingError, LeaseLostError, lease_end
from labeling.services.resolution import resolve_locked
from labeling.submission import Submission, read_submission
from webapp.kept import Kept

UNDO_S = 10
# The screen counts down ten seconds; the way of the request to the server is on top.
UNDO_GRACE_S = 5


def _annotated(pk: Any, key: Any, user: Any, prompt: Any, a: Any, b: Any) -> QuerySet[Assignment]:
    own = Preference.objects.filter(labeler=OuterRef("labeler"))
    last = own.filter(comparison=OuterRef("comparison")).order_by("-revision").values("revision")[:1]
    rows = Assignment.objects.filter(pk=pk).select_for_update(of=("self",))
    return rows.annotate(
        known_id=Subquery(own.filter(idempotency_key=key).order_by().values("pk")[:1]),
        last_revision=Coalesce(Subquery(last), 0),
        has_seen=has_seen_voices(user, prompt, a, b),
    )


_CURRENT = Kept(_annotated, pk=None, key=CharField(), user=None, prompt=None, a=None, b=None)
_COMPARISON_LOCKED = Kept(
    lambda pk: (
        Comparison.objects.filter(pk=pk)
        .select_related("resolution")
        .select_for_update(no_key=True, of=("self",))
    ),
    pk=None,
)


class IdempotencyConflictError(LabelingError):
    """The key was used before, with another body or for another comparison."""

    code = "idempotency_conflict"
    message = _("This idempotency key was already used for another answer.")


class AlreadySubmittedError(LabelingError):
    """The person has answered this comparison; another answer must say that it is a change."""

    code = "already_submitted"
    message = _("You have answered this comparison already, perhaps in another tab. That answer stands.")


class UndoRefusedError(LabelingError):
    """Nothing to undo: too late, never answered, or a change (which can be changed again)."""

    code = "undo_refused"
    message = _("It is too late to undo this answer; you can still change it.")


def preference_submit(
    *,
    assignment: Assignment,
    data: dict[str, Any],
    idempotency_key: str,
    is_change: bool = False,
    source: PreferenceSource = PreferenceSource.WEB,
    now: datetime | None = None,
) -> Preference:
    """Record the labeler's answer (see `Submission` for `data`) as a new revision, and settle all counts.

    The same key with the same data returns the row that it made; with other data it raises
    IdempotencyConflictError. `is_change` is a change of mind about an answered comparison. Raises
    ValidationError, AlreadySubmittedError, LeaseLostError (lapsed, and no slot is free any more). A pause
    stops new leases, not answers already under way.
    """
    moment = now or timezone.now()
    project = assignment.comparison.project
    submission = read_submission(data, read_scheme(project.scheme))
    digest = submission.digest(assignment.uid)
    try:
        with transaction.atomic():
            comparison = _locked(assignment.comparison_id)
            current, before = _current(assignment, idempotency_key)
            known = _known(assignment, idempotency_key, digest) if before.known_id else None
            if known is not None:
                return known
            _prepare(current, comparison, submission, is_change=is_change)
            answer = Answer(
                outcome=submission.outcome(swapped=current.swapped),
                submission=submission,
                key=idempotency_key,
                digest=digest,
                source=source,
                after_reveal=before.has_seen,
            )
            row = answer_record(
                comparison=comparison,
                assignment=current,
                answer=answer,
                moment=moment,
                skip_limit=project.skip_limit,
                revision=before.last_revision + 1,
                is_change=is_change,
            )
            is_resolved_anew = resolve_locked(comparison)
            vote_settled(
                comparison=comparison, row=row, is_change=is_change, is_resolved_anew=is_resolved_anew
            )
            return row
    except IntegrityError:
        # Two different assignments under one key, at the same moment: the unique index chose one.
        known = _known(assignment, idempotency_key, digest)
        if known is None:
            raise
        return known


def preference_undo(
    *, assignment: Assignment, idempotency_key: str, now: datetime | None = None
) -> Assignment:
    """Withdraw the answer just given: a `withdrawn` revision, the lease taken again, the counts put right.

    Doing it twice is the same as once, and so is the same key again, however late. Raises UndoRefusedError,
    IdempotencyConflictError, and LeaseLostError where a skipped comparison has meanwhile been given to somebody
    else.
    """
    moment = now or timezone.now()
    project = assignment.comparison.project
    nothing = Submission(choice="")
    digest = nothing.digest(assignment.uid)
    with transaction.atomic():
        comparison = _locked(assignment.comparison_id)
        current, before = _current(assignment, idempotency_key)
        if before.known_id and _known(current, idempotency_key, digest) is not None:
            return current
        last = _last(current)
        if last is not None and last.outcome == Outcome.WITHDRAWN and current.state == AssignmentState.LEASED:
            return current
        if last is None or not _is_undoable(current, last, moment):
            raise UndoRefusedError
        if last.outcome == Outcome.SKIP:
            _take_slot(comparison)
        answer = Answer(
            outcome=Outcome.WITHDRAWN,
            submission=nothing,
            key=idempotency_key,
            digest=digest,
            source=PreferenceSource(last.source),
        )
        row = answer_append(
            comparison=comparison,
            assignment=current,
            answer=answer,
            moment=moment,
            revision=last.revision + 1,
        )
        answer_count(comparison, last.outcome, -1, skip_limit=project.skip_limit)
        current.state = AssignmentState.LEASED
        current.finished_at = None
        current.lease_expires_at = lease_end(project, moment)
        current.save(update_fields=["state", "finished_at", "lease_expires_at"])
        is_resolved_anew = resolve_locked(comparison)
        vote_settled(comparison=comparison, row=row, is_resolved_anew=is_resolved_anew)
    return current


def undo_seconds_left(row: Preference, now: datetime | None = None) -> int:
    """Seconds of the countdown that the screen still shows for this answer."""
    age = ((now or timezone.now()) - row.created_at).total_seconds()
    return max(0, min(UNDO_S, round(UNDO_S - age)))


def draft_save(*, assignment: Assignment, draft: dict[str, Any]) -> bool:
    """Keep what the labeler has entered so far. False when the answer was already given."""
    rows = Assignment.objects.filter(
        pk=assignment.pk, state__in=[AssignmentState.LEASED, AssignmentState.EXPIRED]
    )
    return rows.update(draft=draft) == 1


def _locked(comparison_id: int) -> Comparison:
    """The comparison, locked, with the resolution that it has."""
    comparison = _COMPARISON_LOCKED.first(pk=comparison_id)
    if comparison is None:
        raise Comparison.DoesNotExist
    return comparison


@dataclass(frozen=True)
class _Before:
    """What there is of the person on a comparison before an answer."""

    known_id: int | None  # of the row that this idempotency key has made
    last_revision: int  # 0 without one
    has_seen: bool  # what others say of one of its responses


def _current(assignment: Assignment, key: str) -> tuple[Assignment, _Before]:
    """The assignment, locked after its comparison, and what an answer under this key needs to know: one query."""
    pair = assignment.comparison
    found = _CURRENT.first(
        pk=assignment.pk,
        key=key,
        user=assignment.labeler.user_id,
        prompt=pair.prompt_id,
        a=pair.response_a_id,
        b=pair.response_b_id,
    )
    if found is None:
        raise Assignment.DoesNotExist
    extra = vars(found)
    return found, _Before(extra["known_id"], extra["last_revision"], extra["has_seen"])


def _known(assignment: Assignment, key: str, digest: str) -> Preference | None:
    """The row this request has made before. Raises IdempotencyConflictError where the key made another."""
    row = Preference.objects.filter(labeler_id=assignment.labeler_id, idempotency_key=key).first()
    if row is not None and row.request_hash != digest:
        raise IdempotencyConflictError
    return row


def _last(assignment: Assignment) -> Preference | None:
    rows = Preference.objects.filter(comparison_id=assignment.comparison_id, labeler_id=assignment.labeler_id)
    return rows.order_by("-revision").first()


def _prepare(current: Assignment, comparison: Comparison, submission: Submission, *, is_change: bool) -> None:
    """Check that the answer may be written, taking a slot where the lease has lapsed."""
    if is_change:
        if current.state != AssignmentState.SUBMITTED:
            raise LeaseLostError
        if submission.choice == "skip":
            raise AlreadySubmittedError
        return
    if current.state in (AssignmentState.SUBMITTED, AssignmentState.SKIPPED):
        raise AlreadySubmittedError
    if comparison.state not in LABELED_STATES:
        raise LeaseLostError
    if current.state == AssignmentState.EXPIRED:
        _take_slot(comparison)


def _take_slot(comparison: Comparison) -> None:
    rows = Comparison.objects.filter(pk=comparison.pk, open_slots__gt=0).exclude(
        state=ComparisonState.RETIRED
    )
    if not rows.update(open_slots=F("open_slots") - 1):
        raise LeaseLostError


def _is_undoable(current: Assignment, last: Preference, moment: datetime) -> bool:
    """A first answer (no change of one) that is young enough."""
    if current.state not in (AssignmentState.SUBMITTED, AssignmentState.SKIPPED):
        return False
    age = (moment - last.created_at).total_seconds()
    return not is_change_of_mind(last) and last.outcome != Outcome.WITHDRAWN and age <= UNDO_S + UNDO_GRACE_S
