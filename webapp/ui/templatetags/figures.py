"""Figures as the interface asks for them: with interval, n and baseline, never a bare or an invented number."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

register = template.Library()


@register.simple_tag
def interval(
    value: float | str | None,
    low: float | None = None,
    high: float | None = None,
    n: int | None = None,
    places: int = 2,
) -> SafeString:
    """`0.81 ± 0.02, n 640`; a dash with a word where there is no value yet.

    An interval without width is left out: all resamples of a few equal votes are alike, which is no certainty."""
    if value is None or value == "":  # a name that the template could not resolve is an empty text
        return format_html('<span class="soft">{}</span>', _("not enough data yet"))
    text = f"{value:.{places}f}"
    if low is not None and high is not None and low < high:
        text += f" ± {(high - low) / 2:.{places}f}"
    count = format_html(' <span class="soft small">n {}</span>', f"{n:,}") if n is not None else ""
    return format_html('<span class="num nowrap">{}{}</span>', text, count)


@register.filter
def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


@register.filter
def signed(value: float | None) -> str:
    """A difference with its sign, to two places; a true minus, as wide as the plus."""
    if value is None:
        return "–"
    return "0.00" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds in words short enough for a table: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return _("%(seconds)s s") % {"seconds": f"{seconds:.1f}" if seconds < 10 else whole}
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return _("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": rest}
    return _("%(hours)s h %(minutes)s min") % {"hours": minutes // 60, "minutes": minutes % 60}
