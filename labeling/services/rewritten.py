"""The pair of a response and its rewrite: the new response, its author's word on the pair, and what settles it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext as _

from labeling.hashing import response_hash
from labeling.models import (
    Assignment,
    Comparison,
    ComparisonState,
    Labeler,
    Preference,
    Response,
    Reveal,
)
from labeling.services.after_vote import vote_settled
from labeling.services.before import IdempotencyConflictError
from labeling.services.resolution import resolve_comparisons


def known_rewrite(labeler: Labeler, key: str, digest: str) -> Response | None:
    """The rewrite that this request has made before. Raises IdempotencyConflictError where the key made another row."""
    rows = Preference.objects.filter(labeler=labeler, idempotency_key=key)
    row = rows.select_related("comparison__response_a", "comparison__response_b").first()
    if row is None:
        return None
    if row.request_hash != digest:
        raise IdempotencyConflictError
    pair = (row.comparison.response_a, row.comparison.response_b)
    return pair[0] if pair[0].parent_id == pair[1].pk else pair[1]


def standing_pair(labeler: Labeler, parent: Response) -> Comparison | None:
    """The pair of this person's rewrite of the response, unless it was taken back."""
    children = Response.objects.filter(parent=parent, author=labeler)
    pairs = Comparison.objects.filter(prompt_id=parent.prompt_id).exclude(state=ComparisonState.RETIRED)
    own = pairs.filter(response_a=parent, response_b__in=children) | pairs.filter(
        response_b=parent, response_a__in=children
    )
    return own.first()


def pair_of(parent: Response, text: str, assignment: Assignment) -> tuple[Comparison, Response]:
    """The new response with the pair of both. A text that the same person took back is taken up again."""
    child = Response.objects.filter(prompt_id=parent.prompt_id, text=text).first()
    if child is None:  # or somebody writes it at this moment
        child, _is_new = Response.objects.get_or_create(
            prompt_id=parent.prompt_id,
            content_hash=response_hash(text),
            defaults={"text": text, "parent": parent, "author": assignment.labeler},
        )
    if (child.parent_id, child.author_id) != (parent.pk, assignment.labeler_id):
        raise ValidationError({"text": [_("This prompt has a response with this text already: change it.")]})
    first, second = sorted((parent, child), key=lambda row: row.content_hash)
    comparison, _is_new = Comparison.objects.get_or_create(
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


def is_revealed(response: Response, labeler: Labeler) -> bool:
    """Whether the person was shown what others say of it."""
    shown = Reveal.objects.filter(user__labelers=labeler, comparison__prompt_id=response.prompt_id)
    return shown.filter(Q(comparison__response_a=response) | Q(comparison__response_b=response)).exists()


def last_word(comparison: Comparison, labeler: Labeler) -> Preference | None:
    rows = Preference.objects.filter(comparison=comparison, labeler=labeler)
    return rows.order_by("-revision").first()


def word_append(comparison: Comparison, labeler: Labeler, **fields: Any) -> Preference:
    last = last_word(comparison, labeler)
    return Preference.objects.create(
        project_id=comparison.project_id,
        comparison=comparison,
        labeler=labeler,
        revision=last.revision + 1 if last else 1,
        **fields,
    )


def pair_settle(comparison: Comparison, row: Preference, state: ComparisonState) -> None:
    is_label = state == ComparisonState.DONE
    Comparison.objects.filter(pk=comparison.pk).update(state=state, label_count=int(is_label))
    resolved = resolve_comparisons([comparison.pk])
    vote_settled(comparison=comparison, row=row, is_resolved_anew=bool(resolved))
