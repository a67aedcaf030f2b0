"""Writing rankings: submit, skip, undo. Append-only, idempotent, each in one transaction for all of its pairs.

All comparisons of the shown responses are locked first, by id, as everywhere. Each deed writes one Ranking row, and
the preferences of its pairs point to it: a ranking those of its order, a skip the skips, an undo the withdrawals (the
last two have no ranks).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.models import (
    Assignment,
    AssignmentState,
    Comparison,
    ComparisonState,
    ComparisonUse,
    Outcome,
    Preference,
    PreferenceSource,
    Ranking,
    RankingTask,
    Response,
)
from labeling.ranks import Pair, pairs_of, read_ranking
from labeling.scheme import SKIP_REASONS, read_scheme
from labeling.services.allocation import LABELED_STATES, LeaseLostError, lease_end, slots_recount
from labeling.services.answers import answers_count
from labeling.services.preferences import (
    UNDO_GRACE_S,
    UNDO_S,
    AlreadySubmittedError,
    UndoRefusedError,
)
from labeling.services.ranking import places_held, places_take
from labeling.services.ranking_deed import Deed, settle

# Any outcome that is none of a skip: counts and states are the same for all of them.
LABEL = Outcome.TIE


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
    try:
        with transaction.atomic():
            locked = deed.begin()
            known = deed.known()
            if known is None:
                _check_unanswered(task)
                if _missing_make(task, said, locked):
                    locked = deed.begin()
                wanted = [
                    (pair, row) for pair in said if (row := locked.get(frozenset(pair[:2]))) is not None
                ]
                answers = _answerable(deed, wanted)
                if not answers:
                    raise LeaseLostError
                known = deed.ranking(
                    ranks=tiers,
                    unranked=submission.unranked(task.order),
                    rationale=submission.rationale,
                    duration_ms=submission.duration_ms,
                )
                _write_labels(deed, known, answers, locked.values())
                draft = {"places": list(submission.places), "rationale": submission.rationale}
                deed.finish(AssignmentState.SUBMITTED, draft=draft)
    except IntegrityError:
        # Two different tasks under one key, at the same moment: the unique index chose one.
        known = deed.known()
        if known is None:
            raise
    return known


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
    with transaction.atomic():
        locked = deed.begin()
        known = deed.known()
        if known is not None:
            return known
        _check_unanswered(task)
        held = _held_among(task, locked.values())
        row = deed.ranking(unranked=task.order)
        rows = deed.append(row, [(pair, Outcome.SKIP) for pair in held], skip_reason=reason)
        deed.assignments_finish(held, AssignmentState.SKIPPED)
        answers_count(held, Outcome.SKIP, +1, skip_limit=task.project.skip_limit)
        settle(rows)
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
    with transaction.atomic():
        locked = {row.pk: row for row in deed.begin().values()}
        if deed.known() is not None:
            return task
        last = Ranking.objects.filter(task=task).order_by("-revision").first()
        if last is not None and task.state == AssignmentState.LEASED:
            return task
        if last is None or not _is_undoable(task, last, moment):
            raise UndoRefusedError
        deed = replace(deed, source=PreferenceSource(last.source))
        again = _withdraw(deed, last, locked)
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


def _missing_make(
    task: RankingTask, said: Iterable[Pair], locked: Mapping[frozenset[int], Comparison]
) -> bool:
    """Make the pairs that no import has made, each with one place. In one order for everybody: of two rankers of the
    same pair, one makes it and the other finds it. Returns whether some were missing."""
    missing = [pair for pair in said if frozenset(pair[:2]) not in locked]
    hashes = dict(Response.objects.filter(pk__in=task.order).values_list("pk", "content_hash"))
    keys = sorted(tuple(sorted(pair[:2], key=lambda pk: hashes[pk])) for pair in missing)
    Comparison.objects.bulk_create(
        (
            Comparison(
                project_id=task.project_id,
                prompt_id=task.prompt_id,
                response_a_id=first,
                response_b_id=second,
                needed=1,
                open_slots=1,
            )
            for first, second in keys
        ),
        ignore_conflicts=True,
    )
    return bool(missing)


def _answerable(deed: Deed, wanted: Sequence[tuple[Pair, Comparison]]) -> list[tuple[Comparison, Outcome]]:
    """What of the ranking may be written: pairs in hand, and those with a free place, which is taken, that the person
    has not answered."""
    task, ids = deed.task, [row.pk for _pair, row in wanted]
    own = Assignment.objects.filter(labeler_id=task.labeler_id, comparison_id__in=ids)
    states = dict(own.select_for_update().order_by("pk").values_list("comparison_id", "state"))
    answered = {pk for pk, (_revision, outcome) in deed.last_revisions(ids).items() if outcome != "withdrawn"}
    found: list[tuple[Comparison, Outcome]] = []
    taken = []
    for pair, row in wanted:
        state = states.get(row.pk, AssignmentState.EXPIRED)
        if row.pk in answered or row.state not in LABELED_STATES:
            continue
        if state == AssignmentState.EXPIRED and _has_place(row):
            taken.append(row)
        elif state != AssignmentState.LEASED:
            continue
        found.append((row, _outcome(pair, row)))
    places_take(task.labeler, taken, AssignmentState.LEASED, deed.moment, deed.moment)
    return found


def _has_place(row: Comparison) -> bool:
    """Whether anybody may be given it now: what serves as a check, or is kept for a batch, is not for rankings."""
    return (
        row.state == ComparisonState.OPEN
        and row.open_slots > 0
        and row.use == ComparisonUse.WORK
        and row.batch_id is None
    )


def _outcome(pair: Pair, row: Comparison) -> Outcome:
    if pair.is_tie:
        return Outcome.TIE
    return Outcome.A if pair.first == row.response_a_id else Outcome.B


def _write_labels(
    deed: Deed,
    ranking: Ranking,
    answers: Sequence[tuple[Comparison, Outcome]],
    shown: Iterable[Comparison],
) -> None:
    """The labels; and what was held and not ranked goes back, never to come to this person again."""
    rows = deed.append(ranking, answers)
    written = {row.pk for row, _outcome in answers}
    unsaid = [row for row in _held_among(deed.task, shown) if row.pk not in written]
    deed.assignments_finish(unsaid, AssignmentState.SKIPPED)
    pairs = [row for row, _outcome in answers]
    # Finished before it is counted: a lease that still stands would keep its place.
    deed.assignments_finish(pairs, AssignmentState.SUBMITTED)
    answers_count(pairs, LABEL, +1, skip_limit=deed.task.project.skip_limit)
    slots_recount(Comparison.objects.filter(pk__in=[row.pk for row in unsaid]))
    settle(rows)


def _held_among(task: RankingTask, shown: Iterable[Comparison]) -> list[Comparison]:
    """The comparisons of these that the ranking holds. The pair page's own leases stay with it."""
    held = set(places_held(task).values_list("comparison_id", flat=True))
    return [row for row in shown if row.pk in held]


def _withdraw(deed: Deed, last: Ranking, locked: Mapping[int, Comparison]) -> list[Comparison]:
    """Withdraw what of this ranking still stands. Returns the comparisons that have a place for the person again."""
    task = deed.task
    written = dict(Preference.objects.filter(ranking=last).values_list("comparison_id", "revision"))
    newest = deed.last_revisions(written)
    standing = [pk for pk, revision in written.items() if newest[pk][0] == revision]
    row = deed.ranking(unranked=task.order)
    rows = deed.append(row, [(locked[pk], Outcome.WITHDRAWN) for pk in standing])
    # All that this deed finished, pairs of which nothing was said included.
    finished = Assignment.objects.filter(
        labeler_id=task.labeler_id, comparison_id__in=locked, finished_at=last.created_at
    )
    finished.update(state=AssignmentState.EXPIRED)
    said = Outcome.SKIP if task.state == AssignmentState.SKIPPED else LABEL
    answers_count([locked[pk] for pk in standing], said, -1, skip_limit=task.project.skip_limit)
    slots_recount(Comparison.objects.filter(pk__in=standing))
    settle(rows)
    free = Comparison.objects.filter(pk__in=standing, open_slots__gt=0)
    return list(free.exclude(state=ComparisonState.RETIRED))
