"""Reading the label form, as a plain post or as the page's script sends it: the same fields either way."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _

from labeling.scheme import LabelScheme
from labeling.submission import CHOICES, RATIONALE_MAX, is_aspect_value

ASPECT_PREFIX = "aspect-"
KEY_MAX = 80


def read_answer(post: QueryDict) -> dict[str, Any]:
    """The form's fields as `read_submission` takes them."""
    return {
        "choice": post.get("choice", ""),
        "skip_reason": post.get("skip_reason", ""),
        "reasons": post.getlist("reasons"),
        "aspects": {
            name.removeprefix(ASPECT_PREFIX): value
            for name, value in post.items()
            if name.startswith(ASPECT_PREFIX) and value
        },
        "rationale": post.get("rationale", ""),
        "duration_ms": post.get("duration_ms") or None,
    }


def read_draft(data: dict[str, Any], scheme: LabelScheme) -> dict[str, Any]:
    """What of an unfinished answer is worth keeping: known keys alone, bounded, nothing refused."""
    aspects = data.get("aspects")
    known = scheme.aspect_steps()
    reasons = data.get("reasons")
    rationale = str(data.get("rationale") or "").replace("\x00", "")
    choice = str(data.get("choice") or "")
    return {
        "choice": choice if choice in CHOICES else "",
        "rationale": rationale.encode("utf-8", "replace").decode("utf-8")[:RATIONALE_MAX],
        "reasons": [r for r in scheme.reasons if isinstance(reasons, list) and r in reasons],
        "aspects": {
            key: str(value)
            for key, value in (aspects.items() if isinstance(aspects, dict) else ())
            if key in known and is_aspect_value(value, known[key])
        },
    }


def read_key(request: HttpRequest) -> str:
    """The idempotency key: header or field. A page without a script got one with its form."""
    key = request.headers.get("Idempotency-Key") or request.POST.get("idempotency_key") or str(uuid.uuid4())
    if len(key) > KEY_MAX or not key.isascii() or not key.isprintable():
        raise ValidationError(
            _("The idempotency key must have 1 to %(max)d ASCII characters.") % {"max": KEY_MAX}
        )
    return key


def wants_json(request: HttpRequest) -> bool:
    """Whether the page's script asks, which swaps parts of the page, or a plain form, which is sent back."""
    return request.headers.get("Accept", "").startswith("application/json")
