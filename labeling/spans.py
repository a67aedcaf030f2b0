"""Passages that a labeler marks as the reason of an answer.

A passage is a run of the text as it is shown (`quote`) and which occurrence of it is meant (`nth`, from 0): Markdown
moves offsets, a quotation survives it. On the screen it has a side; stored, a response.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from labeling.scheme import LabelScheme
from labeling.texts import clean_text

SPANS_MAX = 20
QUOTE_MAX = 500
NTH_MAX = 10_000
SIDES = ("left", "right")


@dataclass(frozen=True)
class Span:
    """`reason` is one of the scheme's, or empty."""

    side: str
    quote: str
    nth: int = 0
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def spans_from_form(texts: Iterable[str]) -> list[Any]:
    """The form's fields, each a span as JSON, as `read_spans` takes them. What is no JSON is left for it to refuse."""
    found: list[Any] = []
    for text in texts:
        try:
            found.append(orjson.loads(text))
        except orjson.JSONDecodeError:
            found.append(text)
    return found


def read_spans(raw: Any, scheme: LabelScheme) -> tuple[Span, ...]:
    """The spans that `raw` describes, each once. Raises ValidationError with the first problem."""
    if not raw:
        return ()
    if not scheme.spans:
        raise ValidationError(_("Passages are not marked in this project."))
    if not isinstance(raw, list | tuple) or len(raw) > SPANS_MAX:
        raise ValidationError(_("Spans must be a list of %(max)d at most.") % {"max": SPANS_MAX})
    return tuple(dict.fromkeys(_read(entry, scheme) for entry in raw))


def kept_spans(raw: Any, scheme: LabelScheme) -> list[dict[str, Any]]:
    """What of an unfinished answer's spans is worth keeping; nothing is refused."""
    found = []
    for entry in raw[:SPANS_MAX] if scheme.spans and isinstance(raw, list | tuple) else ():
        try:
            found.append(_read(entry, scheme).to_json())
        except ValidationError:
            continue
    return found


def spans_by_response(spans: Iterable[Span], *, left: int, right: int) -> list[dict[str, Any]]:
    """As stored: the response's id in place of the side."""
    ids = {"left": left, "right": right}
    return [
        {"response": ids[span.side], "quote": span.quote, "nth": span.nth, "reason": span.reason}
        for span in spans
    ]


def _read(entry: Any, scheme: LabelScheme) -> Span:
    if not isinstance(entry, Mapping) or entry.get("side") not in SIDES:
        raise ValidationError(_("A span is an object with side (left or right), quote, nth and reason."))
    quote, nth, reason = entry.get("quote"), entry.get("nth", 0), entry.get("reason") or ""
    text = clean_text(quote) if isinstance(quote, str) else ""
    if not text or len(text) > QUOTE_MAX:
        raise ValidationError(_("A span quotes 1 to %(max)d characters.") % {"max": QUOTE_MAX})
    if not isinstance(nth, int) or isinstance(nth, bool) or not 0 <= nth <= NTH_MAX:
        raise ValidationError(_("nth says which occurrence of the quote is meant, from 0."))
    if reason and reason not in scheme.reasons:
        raise ValidationError(_("This project has no reason “%(reason)s”.") % {"reason": str(reason)[:60]})
    return Span(side=entry["side"], quote=text, nth=nth, reason=reason)
