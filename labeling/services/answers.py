"""One revision on a comparison whose row the caller has locked, with all that follows from it for the comparison.

Submitting, undoing and ranking share this. Who may answer, resolving, and telling others stay with the callers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import CharField, DateTimeField, F, JSONField
from django.db.models.functions import Greatest, Now

from labeling.models import (
    LABEL_OUTCOMES,
    Assignment,
    AssignmentState,
    Comparison,
    ComparisonState,
    ComparisonUse,
    Outcome,
    Preference,
    PreferenceSource,
    Ranking,
)
from labeling.services.leases import slots_recount
from labeling.spans import spans_by_response
from labeling.submission import Submission
from webapp.kept import KeptInsert, KeptUpdate

_APPEND = KeptInsert(Preference)
_FINISH = KeptUpdate(
    lambda pk, state, at, draft: (
        Assignment.objects.filter(pk=pk),
        {"state": state, "finished_at": at, "draft": draft},
    ),
    pk=None,
    state=CharField(),
    at=DateTimeField(),
    draft=JSONField(),
)
_COUNT = KeptUpdate(
    lambda pk, labels, skips, state: (
        Comparison.objects.filter(pk=pk),
        {"label_count": labels, "skip_count": skips, "state": state},
    ),
    pk=None,
    labels=None,
    skips=None,
    state=CharField(),
)


@dataclass(frozen=True)
class Answer:
    """One revision about to be written. `digest` tells a repeat of a request from another one under the same key."""

    outcome: Outcome
    submission: Submission
    key: str
    digest: str
    source: PreferenceSource
    after_reveal: bool = False


def answer_record(
    *,
    comparison: Comparison,
    assignment: Assignment,
    answer: Answer,
    moment: datetime,
    skip_limit: int,
    revision: int,
    is_change: bool = False,
    ranking: Ranking | None = None,
) -> Preference:
    """Write the answer as this revision, finish the assignment, and put the comparison's counts and state right.

    Both rows are locked by the caller, read after the lock, and right in memory afterwards. `is_change`: the answer
    replaces one that stood, and moves no count. Three statements; a skip takes two more.
    """
    row = answer_append(
        comparison=comparison,
        assignment=assignment,
        answer=answer,
        moment=moment,
        revision=revision,
        ranking=ranking,
    )
    # Finished before it is counted: a lease that still stands would keep its place.
    _finish(assignment, row, answer.submission, moment)
    if not is_change:
        answer_count(comparison, row.outcome, +1, skip_limit=skip_limit)
    return row


def answer_append(
    *,
    comparison: Comparison,
    assignment: Assignment,
    answer: Answer,
    moment: datetime,
    revision: int,
    ranking: Ranking | None = None,
) -> Preference:
    """The bare row."""
    said, is_label = answer.submission, answer.outcome in LABEL_OUTCOMES
    left_id, right_id = comparison.response_a_id, comparison.response_b_id
    if assignment.swapped:
        left_id, right_id = right_id, left_id
    spans = spans_by_response(said.spans, left=left_id, right=right_id)
    row = Preference(
        project_id=comparison.project_id,
        comparison=comparison,
        labeler_id=assignment.labeler_id,
        revision=revision,
        outcome=answer.outcome,
        strength=said.strength if is_label else None,
        aspects=said.aspects_by_response(swapped=assignment.swapped) if is_label else {},
        aspect_strengths=(said.aspect_strengths or None) if is_label else None,
        spans=spans or None,
        reasons=list(said.reasons) if is_label else [],
        skip_reason=said.skip_reason,
        rationale=said.rationale,
        shown_left_id=left_id,
        duration_ms=said.duration_ms if said.duration_ms is not None else _since_opened(assignment, moment),
        ranking=ranking,
        after_reveal=answer.after_reveal,
        source=answer.source,
        idempotency_key=answer.key,
        request_hash=answer.digest,
        created_at=moment,
    )
    _APPEND.run(row)
    return row


def _since_opened(assignment: Assignment, moment: datetime) -> int | None:
    """Milliseconds since the pair was first shown, for pages without a script; None for what is no answer."""
    if assignment.opened_at is None or assignment.state == AssignmentState.SUBMITTED:
        return None
    return max(0, int((moment - assignment.opened_at) / timedelta(milliseconds=1)))


def _finish(assignment: Assignment, row: Preference, submission: Submission, moment: datetime) -> None:
    is_skip = row.outcome == Outcome.SKIP
    assignment.state = AssignmentState.SKIPPED if is_skip else AssignmentState.SUBMITTED
    assignment.finished_at = moment
    # What was said stays as the draft, so that an undo brings all of it back but the choice.
    assignment.draft = {
        "choice": "",
        "rationale": submission.rationale,
        "reasons": list(submission.reasons),
        "aspects": dict(submission.aspects),
    }
    if submission.spans:
        assignment.draft["spans"] = [span.to_json() for span in submission.spans]
    _FINISH.run(pk=assignment.pk, state=assignment.state, at=moment, draft=assignment.draft)


def answer_count(comparison: Comparison, outcome: str, step: int, *, skip_limit: int) -> None:
    """Put the counts and state of a locked comparison right after an answer (+1) or its undo (-1), and its places
    after a skip. Nothing else changes a locked row, so the values in memory are the present ones."""
    if outcome == Outcome.SKIP:
        comparison.skip_count = max(0, comparison.skip_count + step)  # the count may have begun anew since
    else:
        comparison.label_count += step
    before = comparison.state
    comparison.state = _state_after(comparison, outcome, step, skip_limit)
    _COUNT.run(
        pk=comparison.pk,
        labels=comparison.label_count,
        skips=comparison.skip_count,
        state=comparison.state,
    )
    if comparison.state == ComparisonState.OPEN != before:
        # Back in the queue: the bookmarks of those who had passed it hear of it.
        Comparison.objects.filter(pk=comparison.pk).update(freed_at=Now())
    if outcome == Outcome.SKIP and step > 0:
        slots_recount(Comparison.objects.filter(pk=comparison.pk))


def is_skipped_out(comparison: Comparison, skip_limit: int) -> bool:
    """Whether so many have skipped it that reviewers look at it. What checks on people is for each of them to skip."""
    is_work = comparison.use == ComparisonUse.WORK
    return is_work and bool(skip_limit) and comparison.skip_count >= skip_limit


def _state_after(comparison: Comparison, outcome: str, step: int, skip_limit: int) -> str:
    state = comparison.state
    is_out = is_skipped_out(comparison, skip_limit)
    is_full = comparison.label_count >= comparison.needed
    if state == ComparisonState.RETIRED:
        return state
    if outcome == Outcome.SKIP and step > 0 and is_out:
        return ComparisonState.REVIEW
    if outcome == Outcome.SKIP and step < 0 and state == ComparisonState.REVIEW and not is_out:
        return ComparisonState.OPEN
    if is_full and state == ComparisonState.OPEN:
        return ComparisonState.DONE
    if not is_full and state == ComparisonState.DONE:
        return ComparisonState.OPEN
    return state


def answers_count(comparisons: Iterable[Comparison], outcome: str, step: int, *, skip_limit: int) -> None:
    """`answer_count` of many, with one statement for each state that they come to."""
    name = "skip_count" if outcome == Outcome.SKIP else "label_count"
    groups: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for row in comparisons:
        before = row.state
        setattr(row, name, max(0, getattr(row, name) + step))
        row.state = _state_after(row, outcome, step, skip_limit)
        groups[row.state, row.state == ComparisonState.OPEN != before].append(row.pk)
    for (state, is_back), ids in groups.items():
        changes: dict[str, Any] = {name: Greatest(F(name) + step, 0), "state": state}
        if is_back:
            changes["freed_at"] = Now()
        Comparison.objects.filter(pk__in=ids).update(**changes)
    if outcome == Outcome.SKIP and step > 0:
        slots_recount(Comparison.objects.filter(pk__in=[pk for ids in groups.values() for pk in ids]))
