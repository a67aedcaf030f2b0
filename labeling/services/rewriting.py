"""Rewriting a response into a better one: a new response that knows its parent and beats it.

The pair of both is settled by its author's word and asked of nobody: it needs no labels, so that no queue and no
change of the overlap opens it. It is exported as any other pair.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.models import (
    Assignment,
    AssignmentState,
    ComparisonState,
    Outcome,
    PreferenceSource,
    Response,
)
from labeling.scheme import read_scheme
from labeling.services.before import under_key
from labeling.services.leases import LabelingError, LeaseLostError
from labeling.services.preferences import UNDO_GRACE_S, UNDO_S, UndoRefusedError
from labeling.services.rewritten import (
    is_revealed,
    known_rewrite,
    last_word,
    pair_of,
    pair_settle,
    standing_pair,
    word_append,
)
from labeling.texts import clean_text

TEXT_MAX = 100_000


def rewrite_draft_save(*, assignment: Assignment, side: str, text: str) -> bool:
    """Keep the unfinished rewrite of the response on this side; an empty text takes it away. False where the scheme
    says nothing of rewriting, or the rewrite is kept already: a draft may arrive after it."""
    if not read_scheme(assignment.comparison.project.scheme).rewrites:
        return False
    parent = _response_on(assignment, side)
    with transaction.atomic():
        row = Assignment.objects.select_for_update().only("rewrites").get(pk=assignment.pk)
        if standing_pair(assignment.labeler, parent) is not None:
            return False
        _draft_set(row, side, clean_text(text)[:TEXT_MAX])
    return True


def _draft_set(row: Assignment, side: str, text: str) -> None:
    others = {name: kept for name, kept in (row.rewrites or {}).items() if name != side}
    row.rewrites = others | ({side: text} if text else {}) or None
    row.save(update_fields=["rewrites"])


class RewritingOffError(LabelingError):
    """The label scheme says nothing of rewriting."""

    code = "rewriting_off"
    message = gettext_lazy(
        "Responses are not rewritten in this project. A manager can allow it in its settings."
    )


class RewrittenError(LabelingError):
    """One rewrite of one response by one person."""

    code = "already_rewritten"
    message = gettext_lazy("You have rewritten this response already. Undo that first, within ten seconds.")


def rewrite_submit(
    *,
    assignment: Assignment,
    side: str,
    text: Any,
    idempotency_key: str,
    source: PreferenceSource = PreferenceSource.WEB,
    now: datetime | None = None,
) -> Response:
    """Keep `text` as a better version of the response on this `side` ("left" or "right") of the person's pair.

    The same key with the same text returns the response that it made. Raises ValidationError (empty, too long, or a
    text that the prompt has already), RewritingOffError, RewrittenError, IdempotencyConflictError, and LeaseLostError
    where the pair is neither in hand nor answered.
    """
    if not read_scheme(assignment.comparison.project.scheme).rewrites:
        raise RewritingOffError
    words = _read_text(text)
    parent = _response_on(assignment, side)
    digest = hashlib.sha256(f"rewrite {assignment.uid} {side} {words}".encode()).hexdigest()
    with under_key(lambda: known_rewrite(assignment.labeler, idempotency_key, digest)):
        # One after the other for each response: two tabs of one person cannot both rewrite it.
        Response.objects.select_for_update(no_key=True).get(pk=parent.pk)
        known = known_rewrite(assignment.labeler, idempotency_key, digest)
        if known is not None:
            return known
        current = Assignment.objects.select_for_update().get(pk=assignment.pk)
        if current.state not in (AssignmentState.LEASED, AssignmentState.SUBMITTED):
            raise LeaseLostError
        if standing_pair(assignment.labeler, parent) is not None:
            raise RewrittenError
        comparison, child = pair_of(parent, words, assignment)
        row = word_append(
            comparison,
            assignment.labeler,
            outcome=Outcome.A if comparison.response_a_id == child.pk else Outcome.B,
            after_reveal=is_revealed(parent, assignment.labeler),
            source=source,
            idempotency_key=idempotency_key,
            request_hash=digest,
            created_at=now or timezone.now(),
        )
        pair_settle(comparison, row, ComparisonState.DONE)
        if current.rewrites:
            _draft_set(current, side, "")
    return child


def rewrite_withdraw(
    *, assignment: Assignment, side: str, idempotency_key: str, now: datetime | None = None
) -> None:
    """Take the rewrite just made back: a `withdrawn` revision, and the pair is retired. Doing it twice is the same as
    once. Raises UndoRefusedError, IdempotencyConflictError."""
    moment = now or timezone.now()
    parent = _response_on(assignment, side)
    labeler = assignment.labeler
    digest = hashlib.sha256(f"withdraw {assignment.uid} {side}".encode()).hexdigest()
    with under_key(lambda: known_rewrite(labeler, idempotency_key, digest)):
        Response.objects.select_for_update(no_key=True).get(pk=parent.pk)
        if known_rewrite(labeler, idempotency_key, digest) is not None:
            return
        comparison = standing_pair(labeler, parent)
        last = last_word(comparison, labeler) if comparison is not None else None
        if comparison is None or last is None:
            raise UndoRefusedError
        if (moment - last.created_at).total_seconds() > UNDO_S + UNDO_GRACE_S:
            raise UndoRefusedError
        row = word_append(
            comparison,
            labeler,
            outcome=Outcome.WITHDRAWN,
            source=last.source,
            idempotency_key=idempotency_key,
            request_hash=digest,
            created_at=moment,
        )
        pair_settle(comparison, row, ComparisonState.RETIRED)


def _read_text(raw: Any) -> str:
    text = clean_text(raw) if isinstance(raw, str) else ""
    if not text:
        raise ValidationError({"text": [_("Write the better response; it is empty.")]})
    if len(text) > TEXT_MAX:
        raise ValidationError(
            {"text": [_("A response may have %(max)d characters at most.") % {"max": TEXT_MAX}]}
        )
    return text


def _response_on(assignment: Assignment, side: str) -> Response:
    if side not in ("left", "right"):
        raise ValidationError({"side": [_("side must be left or right.")]})
    comparison = assignment.comparison
    return comparison.response_a if (side == "left") != assignment.swapped else comparison.response_b
