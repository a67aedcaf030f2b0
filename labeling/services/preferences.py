"""Writing preferences: submit, change of mind, undo. Append-only, idempotent, each in one transaction.

The comparison's row is locked first, so everything that happens to one comparison happens in a line: counts,
slots and state always agree with the revisions.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models import (
    LABEL_OUTCOMES,
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
from labeling.services.after_vote import first_vote_settled, vote_settled
from labeling.services.answers import Answer, answer_append, answer_count, answer_record
from labeling.services.before import IdempotencyConflictError, before_answer, known_answer, under_key
from labeling.services.leases import LABELED_STATES, LabelingError, LeaseLostError, lease_end
from labeling.services.resolution import resolve_first, resolve_locked
from labeling.submission import Submission, read_submission

__all__ = [
    "UNDO_S",
    "AlreadySubmittedError",
    "IdempotencyConflictError",
    "LeaseLostError",
    "UndoRefusedError",
    "draft_save",
    "preference_submit",
    "preference_undo",
    "undo_seconds_left",
]

UNDO_S = 10
# The screen counts down ten seconds; the way of the request to the server is on top.
UNDO_GRACE_S = 5


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
    with under_key(lambda: known_answer(assignment, idempotency_key, digest)):
        before = before_answer(assignment, idempotency_key)
        current, comparison = before.assignment, before.assignment.comparison
        known = known_answer(assignment, idempotency_key, digest) if before.known_id else None
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
        if before.is_untouched and row.outcome in LABEL_OUTCOMES and not is_change:
            resolve_first(row)
            first_vote_settled(row)
        else:
            is_anew = resolve_locked(comparison)
            vote_settled(comparison=comparison, row=row, is_change=is_change, is_resolved_anew=is_anew)
    return row


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
    with under_key(lambda: known_answer(assignment, idempotency_key, digest)):
        before = before_answer(assignment, idempotency_key)
        current, comparison = before.assignment, before.assignment.comparison
        if before.known_id and known_answer(current, idempotency_key, digest) is not None:
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
