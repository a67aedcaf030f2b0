"""Filters of the label page."""

from __future__ import annotations

from typing import Any

import orjson
from django import template

register = template.Library()


@register.filter
def aspect_side(draft: dict[str, Any], key: str) -> str:
    """What a draft says about one aspect: left, right, same, or nothing yet."""
    aspects = draft.get("aspects")
    return str(aspects.get(key, "")) if isinstance(aspects, dict) else ""


@register.filter
def spans_json(draft: dict[str, Any]) -> str:
    """The marked passages of a draft, for the page's script."""
    return json(draft.get("spans") or [])


@register.filter(name="json")
def json(value: Any) -> str:
    """As JSON, for an attribute; the template escapes it."""
    return orjson.dumps(value).decode()
