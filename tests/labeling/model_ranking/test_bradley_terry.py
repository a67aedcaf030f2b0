"""Strengths against independent computations: choix, scikit-learn, a table made by hand, and planted truths."""

from __future__ import annotations

import choix
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from labeling.bradley_terry import RIDGE, Games, fit, sigmoid


def games(rows, players=3, *, gap=None, cluster=None) -> Games:
    """`rows` are (first, second, won)."""
    table = np.array(rows, dtype=np.float64)
    return Games(
        players=players,
        first=table[:, 0].astype(int),
        second=table[:, 1].astype(int),
        won=table[:, 2],
        cluster=np.arange(len(table)) if cluster is None else np.array(cluster),
        gap=gap,
    )


def planted(theta, count, seed, *, slope=0.0, ties=0.0):
    """`count` games between players of these strengths; `gap` in tenths, as they are counted."""
    draw = np.random.default_rng(seed)
    first = draw.integers(len(theta), size=count)
    second = (first + draw.integers(1, len(theta), size=count)) % len(theta)
    gap = np.rint(np.tanh(draw.normal(size=count)) * 10) / 10
    chance = sigmoid(theta[first] - theta[second] + slope * gap)
    won = (draw.random(count) < chance).astype(float)
    won[draw.random(count) < ties] = 0.5
    return Games(len(theta), first, second, won, np.arange(count), gap if slope else None)


def test_two_players_by_hand():
    """Three of four games won: the odds are 3, and each is half of ln 3 from the mean."""
    found = fit(games([(0, 1, 1), (0, 1, 1), (1, 0, 0), (0, 1, 0)], players=2), ridge=1e-12)
    assert found.theta == pytest.approx([np.log(3) / 2, -np.log(3) / 2], abs=1e-6)
    assert list(found.points) == [3, 1]
    assert list(found.games) == [4, 4]


def test_a_tie_is_half_a_win():
    half = fit(games([(0, 1, 0.5)] * 3 + [(0, 1, 1)], players=2), ridge=1e-12)
    split = fit(games([(0, 1, 1), (0, 1, 0)] * 3 + [(0, 1, 1)] * 2, players=2), ridge=1e-12)
    assert half.theta == pytest.approx(split.theta, abs=1e-6)
    even = fit(games([(0, 1, 0.5), (1, 2, 0.5)]))
    assert even.theta == pytest.approx(np.zeros(3), abs=1e-12)


def test_the_strengths_are_those_of_choix():
    truth = np.array([0.8, 0.1, -0.2, -0.7])
    played = planted(truth, 600, seed=1)
    pairs = [
        (first, second) if won else (second, first)
        for first, second, won in zip(played.first, played.second, played.won, strict=True)
    ]
    theirs = choix.opt_pairwise(4, pairs, alpha=RIDGE / 2, tol=1e-12)
    assert fit(played, resamples=2).theta == pytest.approx(theirs - theirs.mean(), abs=1e-5)


def test_with_a_covariate_it_is_a_logistic_regression():
    played = planted(np.array([0.5, 0.0, -0.5]), 500, seed=2, slope=0.9)
    design = np.zeros((500, 4))
    design[np.arange(500), played.first] += 1
    design[np.arange(500), played.second] -= 1
    design[:, 3] = played.gap
    theirs = LogisticRegression(
        fit_intercept=False, C=1 / RIDGE, tol=1e-10, max_iter=2000, solver="newton-cg"
    )
    theirs.fit(design, played.won)
    mine = fit(played, resamples=50)
    assert mine.theta == pytest.approx(theirs.coef_[0, :3] - theirs.coef_[0, :3].mean(), abs=1e-6)
    assert mine.slope.value == pytest.approx(theirs.coef_[0, 3], abs=1e-6)


def test_length_control_takes_a_planted_length_bias_out():
    """Equal models, of which one writes longer: it wins more, and no more at equal length."""
    draw = np.random.default_rng(3)
    first, second = np.zeros(3000, dtype=int), np.ones(3000, dtype=int)
    gap = np.clip(np.rint(draw.normal(0.5, 0.4, 3000) * 10) / 10, -1, 1)
    won = (draw.random(3000) < sigmoid(1.2 * gap)).astype(float)
    cluster = np.arange(3000)
    plain = fit(Games(2, first, second, won, cluster), resamples=100)
    held = fit(Games(2, first, second, won, cluster, gap), resamples=100)
    assert plain.low[0] > 0.15
    assert held.low[0] < 0 < held.high[0]
    assert held.slope.low < 1.2 < held.slope.high


def test_who_won_everything_stays_finite_and_comes_first():
    found = fit(games([(0, 1, 1), (0, 2, 1), (1, 2, 1), (1, 2, 0)] * 5))
    assert np.all(np.isfinite(found.theta))
    assert found.theta[0] == max(found.theta)
    assert found.points[0] == found.games[0]


def test_players_that_never_met_have_no_common_scale():
    found = fit(games([(0, 1, 1), (0, 1, 0), (2, 3, 1), (3, 4, 1)], players=5), resamples=10)
    assert list(found.groups) == [0, 0, 2, 2, 2]
    for group in ([0, 1], [2, 3, 4]):
        assert found.theta[group].mean() == pytest.approx(0, abs=1e-9)


def test_the_order_of_the_sides_and_the_names_of_clusters_do_not_matter():
    played = planted(np.array([0.6, 0.0, -0.6]), 200, seed=4, slope=0.7)
    turned = Games(3, played.second, played.first, 1 - played.won, played.cluster + 10_000, -played.gap)
    one, other = fit(played, resamples=30), fit(turned, resamples=30)
    assert one.theta == pytest.approx(other.theta, abs=1e-9)
    assert one.low == pytest.approx(other.low, abs=1e-9)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = np.array([0.7, 0.0, -0.7])
    held = []
    for seed in range(60):
        found = fit(planted(truth, 240, seed, ties=0.0), resamples=150, seed=seed)
        held.append((found.low < truth) & (truth < found.high))
    assert 0.88 <= np.mean(held) <= 0.99


def test_copies_of_a_prompts_games_do_not_narrow_the_interval():
    played = planted(np.array([0.5, -0.5]), 80, seed=6)
    copied = Games(
        2, *(np.repeat(values, 9) for values in (played.first, played.second, played.won, played.cluster))
    )
    one, nine = fit(played, resamples=400), fit(copied, resamples=400)
    width, width_of_nine = (found.high[0] - found.low[0] for found in (one, nine))
    assert width_of_nine == pytest.approx(width, rel=0.1)


def test_one_cluster_has_no_interval():
    found = fit(games([(0, 1, 1), (0, 1, 0)], players=2, cluster=[7, 7]))
    assert (found.low, found.high) == (None, None)
    assert found.share(0).low is None


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="no games"):
        fit(Games(2, *(np.array([], dtype=int) for _ in range(2)), np.array([]), np.array([], dtype=int)))
    with pytest.raises(ValueError, match="itself"):
        fit(games([(1, 1, 1)]))
