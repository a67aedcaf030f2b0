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
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.hashing import response_hash
from labeling.models import (
    Assignment,
    AssignmentState,
    Comparison,
    ComparisonState,
    Labeler,
    Outcome,
    Preference,
    PreferenceSource,
    Response,
    Reveal,
)
from labeling.scheme import read_scheme
from labeling.services.after_vote import vote_settled
from labeling.services.allocation import LabelingError, LeaseLostError
from labeling.services.preferences import (
    UNDO_GRACE_S,
    UNDO_S,
    IdempotencyConflictError,
    UndoRefusedError,
)
from labeling.services.resolution import resolve_comparisons
from labeling.texts import clean_text

TEXT_MAX = 100_000


def rewrite_draft_save(*, assignment: Assignment, side: str, text: str) -> bool:
    """Keep the unfinished rewrite of the response on this side; an empty text takes it away. False where the scheme
    says nothing of rewriting."""
    if not read_scheme(assignment.comparison.project.scheme).rewrites:
        return False
    _response_on(assignment, side)
    with transaction.atomic():
        row = Assignment.objects.select_for_update().only("rewrites").get(pk=assignment.pk)
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
    with transaction.atomic():
        # One after the other for each response: two tabs of one person cannot both rewrite it.
        Response.objects.select_for_update(no_key=True).get(pk=parent.pk)
        known = _known(assignment.labeler, idempotency_key, digest)
        if known is not None:
            return known
        current = Assignment.objects.select_for_update().get(pk=assignment.pk)
        if current.state not in (AssignmentState.LEASED, AssignmentState.SUBMITTED):
            raise LeaseLostError
        if _standing(assignment.labeler, parent) is not None:
            raise RewrittenError
        comparison, child = _pair(parent, words, assignment)
        row = _append(
            comparison,
            assignment.labeler,
            outcome=Outcome.A if comparison.response_a_id == child.pk else Outcome.B,
            after_reveal=_is_revealed(parent, assignment.labeler),
            source=source,
            idempotency_key=idempotency_key,
            request_hash=digest,
            created_at=now or timezone.now(),
        )
        _settle(comparison, row, ComparisonState.DONE)
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
    with transaction.atomic():
        Response.objects.select_for_update(no_key=True).get(pk=parent.pk)
        if _known(labeler, idempotency_key, digest) is not None:
            return
        comparison = _standing(labeler, parent)
        last = _last(comparison, labeler) if comparison is not None else None
        if comparison is None or last is None:
            raise UndoRefusedError
        if (moment - last.created_at).total_seconds() > UNDO_S + UNDO_GRACE_S:
            raise UndoRefusedError
        row = _append(
            comparison,
            labeler,
            outcome=Outcome.WITHDRAWN,
            source=last.source,
            idempotency_key=idempotency_key,
            request_hash=digest,
            created_at=moment,
        )
        _settle(comparison, row, ComparisonState.RETIRED)


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


def _known(labeler: Labeler, key: str, digest: str) -> Response | None:
    """The rewrite that this request has made before. Raises IdempotencyConflictError where the key made another row."""
    rows = Preference.objects.filter(labeler=labeler, idempotency_key=key)
    row = rows.select_related("comparison__response_a", "comparison__response_b").first()
    if row is None:
        return None
    if row.request_hash != digest:
        raise IdempotencyConflictError
    pair = (row.comparison.response_a, row.comparison.response_b)
    return pair[0] if pair[0].parent_id == pair[1].pk else pair[1]


def _standing(labeler: Labeler, parent: Response) -> Comparison | None:
    """The pair of this person's rewrite of the response, unless it was taken back."""
    children = Response.objects.filter(parent=parent, author=labeler)
    pairs = Comparison.objects.filter(prompt_id=parent.prompt_id).exclude(state=ComparisonState.RETIRED)
    own = pairs.filter(response_a=parent, response_b__in=children) | pairs.filter(
        response_b=parent, response_a__in=children
    )
    return own.first()


def _pair(parent: Response, text: str, assignment: Assignment) -> tuple[Comparison, Response]:
    """The new response with the pair of both. A text that the same person took back is taken up again."""
    same = Response.objects.filter(prompt_id=parent.prompt_id, text=text).first()
    is_own = same is not None and same.parent_id == parent.pk and same.author_id == assignment.labeler_id
    if same is not None and not is_own:
        raise ValidationError({"text": [_("This prompt has a response with this text already: change it.")]})
    child = same or Response.objects.create(
        prompt_id=parent.prompt_id,
        text=text,
        content_hash=response_hash(text),
        parent=parent,
        author=assignment.labeler,
    )
    first, second = sorted((parent, child), key=lambda row: row.content_hash)
    comparison, _made = Comparison.objects.get_or_create(
        response_a=first,
        response_b=second,
        defaults={
            "project_id": assignment.comparison.project_id,
            "prompt_id": parent.prompt_id,
            "needed": 0,
            "open_slots": 0,
            "state": ComparisonState.DONE,
        },
    )
    return comparison, child


def _is_revealed(response: Response, labeler: Labeler) -> bool:
    """Whether the person was shown what others say of it."""
    shown = Reveal.objects.filter(user__labelers=labeler, comparison__prompt_id=response.prompt_id)
    return shown.filter(Q(comparison__response_a=response) | Q(comparison__response_b=response)).exists()


def _last(comparison: Comparison, labeler: Labeler) -> Preference | None:
    rows = Preference.objects.filter(comparison=comparison, labeler=labeler)
    return rows.order_by("-revision").first()


def _append(comparison: Comparison, labeler: Labeler, **fields: Any) -> Preference:
    last = _last(comparison, labeler)
    return Preference.objects.create(
        project_id=comparison.project_id,
        comparison=comparison,
        labeler=labeler,
        revision=last.revision + 1 if last else 1,
        **fields,
    )


def _settle(comparison: Comparison, row: Preference, state: ComparisonState) -> None:
    is_label = state == ComparisonState.DONE
    Comparison.objects.filter(pk=comparison.pk).update(state=state, label_count=int(is_label))
    resolved = resolve_comparisons([comparison.pk])
    vote_settled(comparison=comparison, row=row, is_resolved_anew=bool(resolved))
