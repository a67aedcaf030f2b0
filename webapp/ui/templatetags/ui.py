"""Tags and filters that every storey's pages use."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from webapp.ui.rendering import render_markdown

register = template.Library()


@register.filter
def markdown(text: object) -> SafeString:
    """Untrusted text as safe HTML: markdown, code and maths. Put it into an element of class `prose`."""
    return render_markdown("" if text is None else str(text))


@register.filter
def dot_x(p: float | None) -> str:
    """Where the dot stands on the track from side A (left) to side B, as an SVG attribute: `P = 1` → `2%`.

    `p` is the probability, in [0, 1], that the left side is better. The ends keep the dot inside the picture.
    """
    share = 0.5 if p is None else min(1.0, max(0.0, 1.0 - float(p)))
    return f"{2 + 96 * share:.1f}%"
