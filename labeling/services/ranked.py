"""Writing rankings: submit, skip, undo. Append-only, idempotent, each in one transaction for all of its pairs.

All comparisons of the shown responses are locked first, by id, as everywhere. Each deed writes one Ranking row, and
the preferences of its pairs point to it: a ranking those of its order, a skip the skips, an undo the withdrawals (the
last two have no ranks).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.models import AssignmentState, PreferenceSource, Ranking, RankingTask
from labeling.ranks import pairs_of, read_ranking
from labeling.scheme import SKIP_REASONS, read_scheme
from labeling.services.before import under_key
from labeling.services.leases import LeaseLostError, lease_end
from labeling.services.preferences import (
    UNDO_GRACE_S,
    UNDO_S,
    AlreadySubmittedError,
    UndoRefusedError,
)
from labeling.services.ranked_pairs import (
    pairs_answerable,
    pairs_label,
    pairs_make,
    pairs_skip,
    pairs_withdraw,
)
from labeling.services.ranking import places_take
from labeling.services.ranking_deed import Deed


def ranking_submit(
    *,
    task: RankingTask,
    data: dict[str, Any],
    idempotency_key: str,
    source: PreferenceSource = PreferenceSource.WEB,
    now: datetime | None = None,
) -> Ranking:
    """Record an order of the task's responses (see `read_ranking` for `data`): one preference, without strength, for
    every pair of ranked responses that the person may still answer, all of them or none.

    `ranking_saved` says which pairs were left out. Pairs that no import has made are made now. The same key with the
    same data returns what it made; with other data it raises IdempotencyConflictError. Raises ValidationError,
    AlreadySubmittedError, LeaseLostError (no pair is left to this person).
    """
    submission = read_ranking(data, len(task.order), read_scheme(task.project.scheme))
    deed = Deed(task, idempotency_key, submission.digest(task.uid), source, now or timezone.now())
    tiers = submission.tiers(task.order)
    said = pairs_of(tiers)
    with under_key(deed.known):
        locked = deed.begin()
        known = deed.known()
        if known is not None:
            return known
        _check_unanswered(task)
        if pairs_make(task, said, locked):
            locked = deed.begin()
        wanted = [(pair, row) for pair in said if (row := locked.get(frozenset(pair[:2]))) is not None]
        answers = pairs_answerable(deed, wanted)
        if not answers:
            raise LeaseLostError
        ranking = deed.ranking(
            ranks=tiers,
            unranked=submission.unranked(task.order),
            rationale=submission.rationale,
            duration_ms=submission.duration_ms,
        )
        pairs_label(deed, ranking, answers, locked.values())
        draft = {"places": list(submission.places), "rationale": submission.rationale}
        deed.finish(AssignmentState.SUBMITTED, draft=draft)
    return ranking


def ranking_skip(
    *,
    task: RankingTask,
    reason: str,
    idempotency_key: str,
    source: PreferenceSource = PreferenceSource.WEB,
    now: datetime | None = None,
) -> Ranking:
    """Skip a prompt: each pair that the ranking holds counts one skip. Idempotent by key. Raises ValidationError,
    AlreadySubmittedError, IdempotencyConflictError."""
    if reason not in SKIP_REASONS:
        keys = ", ".join(SKIP_REASONS)
        raise ValidationError({"skip_reason": [_("Say why you skip: one of %(keys)s.") % {"keys": keys}]})
    digest = hashlib.sha256(f"skip {task.uid} {reason}".encode()).hexdigest()
    deed = Deed(task, idempotency_key, digest, source, now or timezone.now())
    with under_key(deed.known):
        locked = deed.begin()
        known = deed.known()
        if known is not None:
            return known
        _check_unanswered(task)
        row = deed.ranking(unranked=task.order)
        pairs_skip(deed, row, locked.values(), reason)
        deed.finish(AssignmentState.SKIPPED)
    return row


def ranking_undo(*, task: RankingTask, idempotency_key: str, now: datetime | None = None) -> RankingTask:
    """Withdraw the ranking or skip just made: a `withdrawn` revision for each of its preferences that still stands, the
    pairs leased again, the counts put right.

    Doing it twice is the same as once. Raises UndoRefusedError, IdempotencyConflictError, and LeaseLostError where all
    skipped pairs have meanwhile been given to others.
    """
    moment = now or timezone.now()
    digest = hashlib.sha256(f"undo {task.uid}".encode()).hexdigest()
    deed = Deed(task, idempotency_key, digest, PreferenceSource.WEB, moment)
    with under_key(deed.known):
        locked = {row.pk: row for row in deed.begin().values()}
        if deed.known() is not None:
            return task
        last = Ranking.objects.filter(task=task).order_by("-revision").first()
        if last is not None and task.state == AssignmentState.LEASED:
            return task
        if last is None or not _is_undoable(task, last, moment):
            raise UndoRefusedError
        deed = replace(deed, source=PreferenceSource(last.source))
        again = pairs_withdraw(deed, last, locked)
        if not again:
            raise LeaseLostError
        end = lease_end(task.project, moment)
        places_take(task.labeler, again, AssignmentState.LEASED, moment, end)
        deed.finish(AssignmentState.LEASED, lease_expires_at=end)
    task.state, task.lease_expires_at = AssignmentState.LEASED, end
    return task


def _is_undoable(task: RankingTask, last: Ranking, moment: datetime) -> bool:
    age = moment - last.created_at
    return task.state in (AssignmentState.SUBMITTED, AssignmentState.SKIPPED) and age <= timedelta(
        seconds=UNDO_S + UNDO_GRACE_S
    )


def _check_unanswered(task: RankingTask) -> None:
    if task.state in (AssignmentState.SUBMITTED, AssignmentState.SKIPPED):
        raise AlreadySubmittedError
