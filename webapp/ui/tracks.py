"""An interval as a small drawing in a table's row: the column of them is the chart, and the row its figures.

Places are percentages of the column, so that a track is as readable at 390 px as on a wide screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

EDGE = 3.0  # per cent left free at both ends, for dots that stand there


@dataclass(frozen=True)
class Scale:
    """From `low` to `high` in data; `levels` are dashed lines across all rows."""

    low: float
    high: float
    levels: Sequence[float] = ()

    def place(self, value: float) -> str:
        span = (self.high - self.low) or 1.0
        share = min(1.0, max(0.0, (value - self.low) / span))
        return f"{EDGE + (100 - 2 * EDGE) * share:.2f}%"


def share_scale(values: Iterable[float | None], levels: Sequence[float]) -> Scale:
    """A scale for shares: rounded outwards to tenths, never beyond 0 and 1."""
    known = [v for v in (*values, *levels) if v is not None] or [0.0, 1.0]
    low, high = math.floor(min(known) * 10) / 10, math.ceil(max(known) * 10) / 10
    return Scale(max(0.0, low), min(1.0, high if high > low else low + 0.1), levels)


def gap_scale(values: Iterable[float | None]) -> Scale:
    """A scale for differences, with zero in the middle."""
    most = max([abs(v) for v in values if v is not None] or [0.0])
    edge = max(0.05, math.ceil(most * 20) / 20)
    return Scale(-edge, edge, (0.0,))


def interval_track(scale: Scale, value: float | None, low: float | None, high: float | None) -> SafeString:
    """A dot on its whisker, and nothing where there is no interval: a dot alone would look like a figure to trust.

    The figures stand beside it, so it is hidden from screen readers.
    """
    levels = format_html_join(
        "",
        '<line class="level" x1="{}" x2="{}" y1="0" y2="18"/>',
        ((scale.place(v),) * 2 for v in scale.levels),
    )
    if value is None or low is None or high is None:
        return _track(levels)
    dot = format_html(
        '{}<line class="whisker" x1="{}" x2="{}" y1="9" y2="9"/><circle class="dot" cx="{}" cy="9" r="4.5"/>',
        levels,
        scale.place(low),
        scale.place(high),
        scale.place(value),
    )
    return _track(dot)


def _track(body: SafeString) -> SafeString:
    return format_html(
        '<svg class="track" width="100%" height="18" aria-hidden="true" focusable="false">{}</svg>', body
    )
