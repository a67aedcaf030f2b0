"""Figures as pages show them."""

from __future__ import annotations

from webapp.ui.templatetags.figures import interval


def test_a_figure_has_the_width_of_its_interval_and_its_n():
    assert ">0.81 ± 0.02 <" in interval(0.81, 0.79, 0.83, 1640)
    assert "n 1,640" in interval(0.81, 0.79, 0.83, 1640)
    assert ">0.812<" in interval(0.8123, places=3)


def test_an_interval_without_width_is_left_out():
    assert "±" not in interval(1.0, 1.0, 1.0, 3)


def test_no_value_is_no_number():
    assert "not enough data yet" in interval(None)
    assert "not enough data yet" in interval("")
