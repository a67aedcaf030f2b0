"""Charts: round ticks, escaped text, every point drawn, nothing drawn for what is not a number."""

from __future__ import annotations

import math
import re
from datetime import date
from itertools import pairwise

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from webapp.ui.charts import (
    Interval,
    Reference,
    Series,
    bar_chart,
    day_label,
    interval_chart,
    line_chart,
    nice_ticks,
    reliability_chart,
)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_cover_the_range_in_even_steps(low: float, width: float):
    high = low + width
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low + 1e-9
    assert ticks[-1] >= high - 1e-9 * max(1.0, abs(high))
    steps = {round((b - a) / width, 6) for a, b in pairwise(ticks)}
    assert max(steps) - min(steps) < 1e-3
    assert 2 <= len(ticks) <= 8


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_ticks_refuse_what_is_not_finite(bad: float):
    with pytest.raises(ValueError, match="finite"):
        nice_ticks(0.0, bad)


def test_an_interval_chart_marks_champion_and_rejected():
    points = [Interval("v1", 0.7, 0.6, 0.8, "rejected"), Interval("v2 ★", 0.8, 0.75, 0.85, "champion")]
    svg = interval_chart(points, [Reference("longest wins 0.77", 0.77)], title="Accuracy")
    assert len(re.findall(r'<circle class="dot rejected"', svg)) == 1
    assert len(re.findall(r'<circle class="dot champion"', svg)) == 1
    assert re.search(r'<text class="extra"[^>]*>longest wins 0.77<', svg)
    assert re.search(r'<text class="narrow"[^>]*>0.77</text>', svg)
    assert '<p class="key">longest wins 0.77</p>' in svg
    assert "v2 ★" in svg


def test_text_is_escaped():
    svg = bar_chart([("<script>", 1.0)], title='"><img>')
    assert "<script>" not in svg
    assert "<img>" not in svg


def test_points_that_are_not_finite_are_left_out():
    svg = line_chart([Series("loss", [(0, 1.0), (1, math.nan), (2, 0.5)])], title="Loss")
    (points,) = re.findall(r'points="([^"]*)"', svg)
    assert len(points.split()) == 2


def test_empty_charts_are_still_charts():
    for svg in (
        interval_chart([], [], title="t"),
        line_chart([], title="t"),
        bar_chart([], title="t"),
        reliability_chart([], title="t"),
    ):
        assert svg.startswith('<div class="plot"><svg')
        assert "nan" not in svg.lower()


def test_labels_that_would_touch_on_a_phone_are_marked_and_the_newest_is_not():
    points = [Interval(f"v{number}", 0.7, 0.6, 0.8) for number in range(1, 13)]
    svg = interval_chart(points, [], title="Accuracy")
    labels = re.findall(r'<text class="(\w*)" [^>]*>(v\d+)</text>', svg)
    assert [name for _class, name in labels] == [point.label for point in points]
    assert [name for style, name in labels if not style] == ["v2", "v4", "v6", "v8", "v10", "v12"]


def test_two_levels_near_each_other_are_named_on_both_sides():
    def offsets(low: float, high: float) -> list[str]:
        references = [Reference("low", low), Reference("high", high)]
        svg = interval_chart([Interval("v1", 0.7, 0.4, 0.9)], references, title="Accuracy")
        return re.findall(r'dy="([^"]+)" text-anchor="end">(?:low|high)<', svg)

    assert offsets(0.5, 0.8) == ["-.35em", "-.35em"]
    assert offsets(0.77, 0.8) == ["1.1em", "-.35em"]


def test_names_in_a_legend_do_not_touch():
    svg = line_chart(
        [Series(name, [(0, 1.0), (1, 0.5)]) for name in ("cross-validation", "训练")], title="Loss"
    )
    places = dict(re.findall(r'<text x="([\d.]+)" y="233">([^<]+)</text>', svg))
    first, second = sorted(map(float, places))
    assert second - first > len("cross-validation") * 0.55 * 25


def test_bars_have_as_many_labels_as_fit():
    svg = bar_chart([(f"11-{day:02}", 1.0) for day in range(1, 31)], title="Labels")
    assert re.findall(r">(11-\d\d)</text>", svg) == ["11-05", "11-10", "11-15", "11-20", "11-25", "11-30"]


def test_a_day_is_written_shortly():
    with translation.override("en"):
        assert day_label(date(2026, 11, 9)) == "Nov 9"


def test_wide_labels_are_fewer():
    labels = [f"11月{day}日" for day in range(6, 20)]
    svg = bar_chart([(label, 1.0) for label in labels], title="Labels")
    assert re.findall(r">([^<]+日)</text>", svg) == ["11月7日", "11月11日", "11月15日", "11月19日"]
    svg = interval_chart([Interval(label, 0.7, 0.6, 0.8) for label in labels * 2], [], title="Agreement")
    shown = re.findall(r'<text class="(\w*)" [^>]*>11月(\d+)日</text>', svg)
    assert [day for _style, day in shown] == ["9", "13", "17", "7", "11", "15", "19"]
    assert [day for style, day in shown if not style] == ["9", "17", "11", "19"]


@pytest.mark.parametrize(
    ("most", "ticks"), [(0, "012"), (1, "012"), (5, "0510"), (6, "0510"), (500, "0250500")]
)
def test_no_tick_of_a_bar_chart_halves_a_count(most, ticks):
    svg = bar_chart([("today", float(most))], title="Labels")
    assert "".join(re.findall(r'text-anchor="end"[^>]*>(\d+)<', svg)) == ticks
