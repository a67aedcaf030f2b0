"""Writing preferences: submit, change of mind, undo. Append-only, idempotent, each in one transaction.

The comparison's row is locked first, so everything that happens to one comparison happens in a line: counts,
slots and state always agree with the revisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
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
from labeling.selectors.reveals import has_seen_voices
from labeling.services.after_vote import vote_settled
from labeling.services.allocation import (
    LABELED_STATES,
    LabelingError,
    LeaseLostError,
    lease_end,
    slots_recount,
)
from labeling.services.resolution import resolve_comparisons
from labeling.submission import Submission, read_submission

UNDO_S = 10
# The screen counts down ten seconds; the way of the request to the server is on top.
UNDO_GRACE_S = 5


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


@dataclass(frozen=True)
class _Answer:
    """One revision about to be written."""

    outcome: Outcome
    submission: Submission
    key: str
    digest: str
    source: PreferenceSource
    after_reveal: bool = False


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
            known = _known(assignment, idempotency_key, digest)
            if known is not None:
                return known
            current = Assignment.objects.select_for_update().get(pk=assignment.pk)
            _prepare(current, comparison, submission, is_change=is_change)
            answer = _Answer(
                outcome=submission.outcome(swapped=current.swapped),
                submission=submission,
                key=idempotency_key,
                digest=digest,
                source=source,
                after_reveal=has_seen_voices(assignment.labeler.user, comparison),
            )
            row = _append(current, comparison, answer, moment)
            # Finished before it is counted: a lease that still stands would keep its place.
            _finish(current, row, submission, moment)
            if not is_change:
                _count(comparison, row.outcome, +1, skip_limit=project.skip_limit)
            resolved = resolve_comparisons([comparison.pk])
            vote_settled(comparison=comparison, row=row, is_change=is_change, is_resolved_anew=bool(resolved))
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
        current = Assignment.objects.select_for_update().get(pk=assignment.pk)
        if _known(current, idempotency_key, digest) is not None:
            return current
        last = _last(current)
        if last is not None and last.outcome == Outcome.WITHDRAWN and current.state == AssignmentState.LEASED:
            return current
        if last is None or not _is_undoable(current, last, moment):
            raise UndoRefusedError
        if last.outcome == Outcome.SKIP:
            _take_slot(comparison)
        answer = _Answer(
            outcome=Outcome.WITHDRAWN,
            submission=nothing,
            key=idempotency_key,
            digest=digest,
            source=PreferenceSource(last.source),
        )
        row = _append(current, comparison, answer, moment)
        _count(comparison, last.outcome, -1, skip_limit=project.skip_limit)
        current.state = AssignmentState.LEASED
        current.finished_at = None
        current.lease_expires_at = lease_end(project, moment)
        current.save(update_fields=["state", "finished_at", "lease_expires_at"])
        resolved = resolve_comparisons([comparison.pk])
        vote_settled(comparison=comparison, row=row, is_resolved_anew=bool(resolved))
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
    return Comparison.objects.select_for_update(no_key=True).get(pk=comparison_id)


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


def _append(current: Assignment, comparison: Comparison, answer: _Answer, moment: datetime) -> Preference:
    last, said = _last(current), answer.submission
    is_label = answer.outcome in LABEL_OUTCOMES
    left_id = comparison.response_b_id if current.swapped else comparison.response_a_id
    return Preference.objects.create(
        project_id=comparison.project_id,
        comparison=comparison,
        labeler_id=current.labeler_id,
        revision=last.revision + 1 if last else 1,
        outcome=answer.outcome,
        strength=said.strength if is_label else None,
        aspects=said.aspects_by_response(swapped=current.swapped) if is_label else {},
        aspect_strengths=(said.aspect_strengths or None) if is_label else None,
        reasons=list(said.reasons) if is_label else [],
        skip_reason=said.skip_reason,
        rationale=said.rationale,
        shown_left_id=left_id,
        duration_ms=said.duration_ms if said.duration_ms is not None else _since_opened(current, moment),
        after_reveal=answer.after_reveal,
        source=answer.source,
        idempotency_key=answer.key,
        request_hash=answer.digest,
        created_at=moment,
    )


def _since_opened(current: Assignment, moment: datetime) -> int | None:
    """Milliseconds since the pair was first shown, for pages without a script; None for what is no answer."""
    if current.opened_at is None or current.state == AssignmentState.SUBMITTED:
        return None
    return max(0, int((moment - current.opened_at) / timedelta(milliseconds=1)))


def _finish(current: Assignment, row: Preference, submission: Submission, moment: datetime) -> None:
    is_skip = row.outcome == Outcome.SKIP
    current.state = AssignmentState.SKIPPED if is_skip else AssignmentState.SUBMITTED
    current.finished_at = moment
    # What was said stays as the draft, so that an undo brings all of it back but the choice.
    current.draft = {
        "choice": "",
        "rationale": submission.rationale,
        "reasons": list(submission.reasons),
        "aspects": dict(submission.aspects),
    }
    current.save(update_fields=["state", "finished_at", "draft"])


def _count(comparison: Comparison, outcome: str, step: int, *, skip_limit: int) -> None:
    """Put the counts, slots and state of a locked comparison right after an answer (+1) or undo (-1)."""
    if outcome == Outcome.SKIP:
        Comparison.objects.filter(pk=comparison.pk).update(skip_count=F("skip_count") + step)
        if step > 0:
            slots_recount(Comparison.objects.filter(pk=comparison.pk))
    else:
        Comparison.objects.filter(pk=comparison.pk).update(label_count=F("label_count") + step)
    comparison.refresh_from_db(fields=["label_count", "skip_count", "state", "needed"])
    if comparison.state == ComparisonState.RETIRED:
        return
    is_skipped_out = bool(skip_limit) and comparison.skip_count >= skip_limit
    if outcome == Outcome.SKIP and step > 0 and is_skipped_out:
        state = ComparisonState.REVIEW
    elif (
        outcome == Outcome.SKIP
        and step < 0
        and comparison.state == ComparisonState.REVIEW
        and not is_skipped_out
    ):
        state = ComparisonState.OPEN
    elif comparison.label_count >= comparison.needed and comparison.state == ComparisonState.OPEN:
        state = ComparisonState.DONE
    elif comparison.label_count < comparison.needed and comparison.state == ComparisonState.DONE:
        state = ComparisonState.OPEN
    else:
        return
    Comparison.objects.filter(pk=comparison.pk).update(state=state)


def _is_undoable(current: Assignment, last: Preference, moment: datetime) -> bool:
    """A first answer (no change of one) that is young enough."""
    if current.state not in (AssignmentState.SUBMITTED, AssignmentState.SKIPPED):
        return False
    age = (moment - last.created_at).total_seconds()
    return not is_change_of_mind(last) and last.outcome != Outcome.WITHDRAWN and age <= UNDO_S + UNDO_GRACE_S
