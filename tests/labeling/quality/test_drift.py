"""Windows of a labeler's votes, and when they began to agree less."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.drift import Series, decline_start, windows_of


def series(same, others=None, left=None, seconds=None):
    same = np.array(same)
    nothing = np.full(len(same), np.nan)
    return Series(
        same=same,
        others=np.ones(len(same), dtype=int) if others is None else np.array(others),
        left=nothing if left is None else np.array(left, dtype=float),
        seconds=nothing if seconds is None else np.array(seconds, dtype=float),
    )


@given(st.integers(0, 400), st.integers(2, 60))
def test_windows_hold_every_vote_once_and_none_is_short(votes, size):
    windows = windows_of(series([1] * votes), size)
    assert [window.start for window in windows] == [number * size for number in range(len(windows))]
    assert sum(window.n for window in windows) == votes
    if votes >= size:
        assert all(size / 2 <= window.n < 1.5 * size + 1 for window in windows)


def test_the_figures_of_a_window():
    [window] = windows_of(series([1, 1, 0, 0], [2, 1, 1, 0], [1, 0, np.nan, 1], [4, np.nan, 8, 30]))
    assert (window.agreement.value, window.agreement.n) == (pytest.approx(0.5), 3)  # 2 of 4 pairs, 3 votes
    assert (window.left.value, window.left.n) == (pytest.approx(2 / 3), 3)
    assert window.seconds == 8
    [empty] = windows_of(series([0, 0], [0, 0]))
    assert (empty.agreement, empty.left, empty.seconds) == (None, None, None)
    assert windows_of(series([])) == []


@pytest.mark.parametrize("after", [1, 3, 8])
def test_a_decline_is_found_where_it_began_and_stays_found(after):
    generator = np.random.default_rng(5)
    same = np.concatenate([generator.random(300) < 0.9, generator.random(50 * after) < 0.5]).astype(int)
    given = series(same)
    windows = windows_of(given)
    assert decline_start(given, windows) == 6


def test_neither_chance_nor_getting_better_is_a_decline():
    flat, better = series([1, 1, 0] * 150), series([0, 1] * 100 + [1] * 200)
    for votes in (flat, better):
        assert decline_start(votes, windows_of(votes)) is None
    assert decline_start(series([1] * 30), windows_of(series([1] * 30))) is None


@given(st.lists(st.booleans(), min_size=100, max_size=300))
def test_after_a_decline_less_is_agreed_than_before(same):
    given = series([int(value) for value in same])
    windows = windows_of(given)
    found = decline_start(given, windows)
    if found is not None:
        border = windows[found].start
        assert np.mean(same[:border]) > np.mean(same[border:])
