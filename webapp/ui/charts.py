"""Charts drawn on the server as SVG: readable text, `<title>` tooltips, colours from the page's own tokens.

Each function returns safe markup for `{{ chart }}`; the page puts the table of the same figures behind it. A
drawing shrinks with its column while the stylesheet's container queries let its text grow in turn, up to
`TEXT_MOST` units; the layout leaves room for that, and labels of class "extra" are hidden where it is narrow.
Levels are then marked by their value alone, and named in a line below.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate

from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import pgettext

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 72, 18, 16, 34
TEXT_MOST = 25  # largest size of text in drawing units
TEXT_WIDE = 14  # its size where the drawing is as wide as its column lets it be
GAP = 8  # between two labels


@dataclass(frozen=True)
class Interval:
    """One value with its interval, drawn as a dot on a whisker."""

    label: str
    value: float
    low: float
    high: float
    style: str = ""  # "", "champion" or "rejected"
    title: str = ""


@dataclass(frozen=True)
class Reference:
    """A dashed level across the chart."""

    label: str
    value: float


@dataclass(frozen=True)
class Series:
    """A line: (x, y) points in order of x."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Frame:
    """Maps data to the drawing and draws its own axes."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    y_format: str = "{:.2f}"
    height: int = HEIGHT
    ticks: Sequence[float] = field(default_factory=tuple)

    def x(self, value: float) -> float:
        span = (self.x_high - self.x_low) or 1.0
        return LEFT + (value - self.x_low) / span * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        span = (self.y_high - self.y_low) or 1.0
        return self.height - BOTTOM - (value - self.y_low) / span * (self.height - TOP - BOTTOM)

    def axes(self) -> SafeString:
        return format_html_join(
            "",
            '<line class="axis" x1="{}" y1="{}" x2="{}" y2="{}"/>'
            '<text x="{}" y="{}" dy=".35em" text-anchor="end">{}</text>',
            (
                (
                    LEFT,
                    _n(self.y(t)),
                    WIDTH - RIGHT,
                    _n(self.y(t)),
                    LEFT - 6,
                    _n(self.y(t)),
                    self.y_format.format(t),
                )
                for t in self.ticks
            ),
        )


def _n(value: float) -> str:
    return f"{value:.1f}"


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About `count` round numbers that cover [low, high]. A flat range is widened."""
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"ticks need finite bounds, got {low} and {high}")
    if high <= low:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    first = math.floor(low / step) * step
    ticks = [first]
    while ticks[-1] < high - 1e-12:
        ticks.append(round(ticks[-1] + step, 12))
    return ticks


def day_label(day: date) -> str:
    """A day below an axis, as the reader's language writes it: Nov 19, 11月19日."""
    return date_format(day, pgettext("a day without its year, for Django's date filter", "M j"))


def _every(labels: Sequence[str], room: float, size: float = TEXT_MOST) -> int:
    """Each how manieth of the labels is written so that they do not touch at this size."""
    widest = max((_text_width(label) for label in labels), default=0.0) * size / TEXT_MOST
    return max(1, math.ceil(len(labels) * (widest + GAP) / room))


def _text_width(text: str) -> float:
    """About how wide a text is at the largest size, in drawing units."""
    return sum(TEXT_MOST * (1.0 if unicodedata.east_asian_width(c) in "WF" else 0.65) for c in text)


def _svg(body: SafeString, *, title: str, height: int = HEIGHT, key: str = "") -> SafeString:
    return format_html(
        '<div class="plot"><svg viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>{}</div>',
        WIDTH,
        height,
        title,
        title,
        body,
        format_html('<p class="key">{}</p>', key) if key else "",
    )


def interval_chart(points: Sequence[Interval], references: Sequence[Reference], *, title: str) -> SafeString:
    """Values with intervals side by side (accuracy by version), beside dashed reference levels."""
    values = [v for p in points for v in (p.low, p.high)] + [r.value for r in references]
    ticks = nice_ticks(min(values), max(values)) if values else [0.0, 1.0]
    count = max(len(points), 1)
    # The reference levels are named at the right, where no point stands.
    gutter = 0.4 * count if references else 0.0
    frame = _Frame(-0.5, count - 0.5 + gutter, ticks[0], ticks[-1], ticks=ticks)
    refs = format_html_join(
        "",
        '<line class="ref" x1="{}" y1="{}" x2="{}" y2="{}"/>'
        '<text class="{}" x="{}" y="{}" dy="{}" text-anchor="end">{}</text>',
        (
            (
                LEFT,
                _n(frame.y(r.value)),
                WIDTH - RIGHT,
                _n(frame.y(r.value)),
                style,
                WIDTH - RIGHT,
                _n(frame.y(r.value)),
                "1.1em" if _is_crowded(r, references, frame) else "-.35em",
                text,
            )
            for r in references
            for style, text in (("extra", r.label), ("narrow", f"{r.value:.2f}"))
        ),
    )
    labels, room = [p.label for p in points], frame.x(count - 0.5) - LEFT
    shown = _every(labels, room, TEXT_WIDE)
    narrow = shown * math.ceil(_every(labels, room) / shown)
    dots = format_html_join(
        "",
        '<g><title>{}</title><line class="whisker {}" x1="{}" y1="{}" x2="{}" y2="{}"/>'
        '<circle class="dot {}" cx="{}" cy="{}" r="{}"/>'
        '<text class="{}" x="{}" y="{}" text-anchor="middle">{}</text></g>',
        (
            (
                p.title or f"{p.label}: {p.value:.3f} [{p.low:.3f}, {p.high:.3f}]",
                p.style,
                _n(frame.x(i)),
                _n(frame.y(p.low)),
                _n(frame.x(i)),
                _n(frame.y(p.high)),
                p.style,
                _n(frame.x(i)),
                _n(frame.y(p.value)),
                7 if p.style == "champion" else 5,
                "extra" if (count - 1 - i) % narrow else "",
                _n(frame.x(i)),
                HEIGHT - 8,
                p.label if (count - 1 - i) % shown == 0 else "",
            )
            for i, p in enumerate(points)
        ),
    )
    key = " · ".join(r.label for r in sorted(references, key=lambda r: -r.value))
    return _svg(frame.axes() + refs + dots, title=title, key=key)


def _is_crowded(reference: Reference, references: Sequence[Reference], frame: _Frame) -> bool:
    """Whether another level is so near above that the label has to go below its own line."""
    above = [other.value for other in references if other.value > reference.value]
    return any(frame.y(reference.value) - frame.y(value) < 1.5 * TEXT_MOST for value in above)


def line_chart(
    series: Sequence[Series], *, title: str, y_format: str = "{:.2f}", references: Sequence[Reference] = ()
) -> SafeString:
    """Curves over steps. Points that are not finite are left out; series without points draw nothing. A series
    without a name, alone in its drawing, needs no legend."""
    kept = [Series(s.name, [(x, y) for x, y in s.points if math.isfinite(y)]) for s in series]
    xs = [x for s in kept for x, _y in s.points]
    ys = [y for s in kept for _x, y in s.points] + [r.value for r in references]
    ticks = nice_ticks(min(ys), max(ys)) if ys else [0.0, 1.0]
    frame = _Frame(
        min(xs, default=0), max(xs, default=1), ticks[0], ticks[-1], y_format=y_format, ticks=ticks
    )
    lines = format_html_join(
        "",
        '<polyline class="line s{}" points="{}"><title>{}</title></polyline>',
        (
            (i, " ".join(f"{_n(frame.x(x))},{_n(frame.y(y))}" for x, y in s.points), s.name or title)
            for i, s in enumerate(kept)
        ),
    )
    refs = format_html_join(
        "",
        '<line class="ref" x1="{}" y1="{}" x2="{}" y2="{}"/><text x="{}" y="{}" dy="-.35em">{}</text>',
        (
            (
                LEFT,
                _n(frame.y(r.value)),
                WIDTH - RIGHT,
                _n(frame.y(r.value)),
                LEFT + 4,
                _n(frame.y(r.value)),
                r.label,
            )
            for r in references
        ),
    )
    starts = accumulate((34 + _text_width(s.name) for s in kept), initial=float(LEFT))
    legend = format_html_join(
        "",
        '<line class="line s{}" x1="{}" y1="{}" x2="{}" y2="{}"/><text x="{}" y="{}">{}</text>',
        (
            (
                i,
                _n(start),
                HEIGHT - 12,
                _n(start + 16),
                HEIGHT - 12,
                _n(start + 22),
                HEIGHT - 7,
                s.name,
            )
            for i, (s, start) in enumerate(zip(kept, starts, strict=False))
            if s.name
        ),
    )
    last_x = format_html(
        '<text x="{}" y="{}" text-anchor="end">{}</text>',
        WIDTH - RIGHT,
        HEIGHT - 7,
        f"{max(xs, default=0):g}",
    )
    return _svg(frame.axes() + refs + lines + legend + last_x, title=title)


def bar_chart(
    bars: Sequence[tuple[str, float]], *, title: str, height: int = 140, y_format: str = "{:.0f}"
) -> SafeString:
    """One bar for each (label, count); the last is the present one and is drawn darker."""
    top = max((value for _label, value in bars), default=0.0)
    ticks = nice_ticks(0.0, 2.0 * max(1, math.ceil(top / 2)), 2)  # even, so that no tick halves a count
    frame = _Frame(
        -0.5, max(len(bars), 1) - 0.5, 0.0, ticks[-1], y_format=y_format, height=height, ticks=ticks
    )
    width = (WIDTH - LEFT - RIGHT) / max(len(bars), 1) * 0.72
    every = _every([label for label, _value in bars], WIDTH - LEFT - RIGHT)
    body = format_html_join(
        "",
        '<g><title>{}</title><rect class="bar {}" x="{}" y="{}" width="{}" height="{}" rx="2"/>'
        '<text x="{}" y="{}" text-anchor="middle">{}</text></g>',
        (
            (
                f"{label}: {y_format.format(value)}",
                "now" if i == len(bars) - 1 else "",
                _n(frame.x(i) - width / 2),
                _n(frame.y(value)),
                _n(width),
                _n(frame.y(0.0) - frame.y(value)),
                _n(frame.x(i)),
                height - 8,
                label if (len(bars) - 1 - i) % every == 0 else "",
            )
            for i, (label, value) in enumerate(bars)
        ),
    )
    return _svg(frame.axes() + body, title=title, height=height)


@dataclass(frozen=True)
class Bin:
    """Cases whose predicted probability lies close together: its mean, the share that came true with its interval,
    and their number."""

    predicted: float
    observed: float
    low: float
    high: float
    n: int


def reliability_chart(bins: Sequence[Bin], *, title: str, lowest: float = 0.0) -> SafeString:
    """Predicted probability (across, from `lowest`) against observed share, one dot on its whisker a bin, and the
    diagonal on which the two agree."""
    frame = _Frame(lowest, 1.0, 0.0, 1.0, ticks=[0.0, 0.25, 0.5, 0.75, 1.0])
    most = max((b.n for b in bins), default=1)
    across = nice_ticks(lowest, 1.0, 5)
    names = format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="{}">{}</text>',
        (
            (
                _n(frame.x(t)),
                HEIGHT - 8,
                "start" if t == lowest else "end" if t == 1.0 else "middle",
                f"{t:.1f}",
            )
            for t in across
            if lowest <= t <= 1.0
        ),
    )
    diagonal = format_html(
        '<line class="ref" x1="{}" y1="{}" x2="{}" y2="{}"/>',
        _n(frame.x(lowest)),
        _n(frame.y(lowest)),
        _n(frame.x(1)),
        _n(frame.y(1)),
    )
    dots = format_html_join(
        "",
        '<g><title>{}</title><line class="whisker" x1="{}" y1="{}" x2="{}" y2="{}"/>'
        '<circle class="dot" cx="{}" cy="{}" r="{}"/></g>',
        (
            (
                f"P {b.predicted:.2f} → {b.observed:.2f} [{b.low:.2f}, {b.high:.2f}] (n {b.n})",
                _n(frame.x(b.predicted)),
                _n(frame.y(b.low)),
                _n(frame.x(b.predicted)),
                _n(frame.y(b.high)),
                _n(frame.x(b.predicted)),
                _n(frame.y(b.observed)),
                _n(3 + 6 * math.sqrt(b.n / most)),
            )
            for b in bins
            if b.n
        ),
    )
    return _svg(frame.axes() + names + diagonal + dots, title=title)
