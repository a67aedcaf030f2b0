"""Filters of the label page."""

from __future__ import annotations

from typing import Any

from django import template

register = template.Library()


@register.filter
def aspect_side(draft: dict[str, Any], key: str) -> str:
    """What a draft says about one aspect: left, right, same, or nothing yet."""
    aspects = draft.get("aspects")
    return str(aspects.get(key, "")) if isinstance(aspects, dict) else ""
