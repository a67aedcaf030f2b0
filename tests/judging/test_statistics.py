"""Judge statistics: exact small tables, a slow reference for the clustered bootstrap, and the edges."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from judging import statistics as stats

A, B, T, N = stats.A, stats.B, stats.TIE, stats.NONE


def ints(*values):
    return np.array(values, dtype=np.int64)


PEOPLE = ints(A, A, B, B, T, T, A, N)
JUDGE = ints(A, B, B, T, T, A, N, A)
PROMPT = np.arange(8)


def test_outcome_words_are_coded():
    assert stats.encode(["a", "b", "tie", "both_bad", "skip", None]).tolist() == [A, B, T, T, N, N]


def test_agreement_with_and_without_ties():
    with_ties = stats.agreement(PEOPLE, JUDGE, PROMPT, with_ties=True)
    assert (with_ties.value, with_ties.n) == (0.5, 6)
    without = stats.agreement(PEOPLE, JUDGE, PROMPT, with_ties=False)
    assert (without.value, without.n) == (pytest.approx(2 / 3), 3)
    assert stats.half_credit(PEOPLE, JUDGE, PROMPT).value == pytest.approx((1 + 0 + 1 + 0.5) / 4)


def test_kappa_equals_scikit_learn():
    generator = np.random.default_rng(3)
    people = generator.integers(0, 3, 300)
    judge = np.where(generator.random(300) < 0.6, people, generator.integers(0, 3, 300))
    estimate = stats.cohen_kappa(people, judge, np.arange(300))
    assert estimate.value == pytest.approx(cohen_kappa_score(people, judge), abs=1e-12)
    assert estimate.low < estimate.value < estimate.high


def test_kappa_at_its_edges():
    same = ints(A, A, A)
    assert stats.cohen_kappa(same, same, ints(0, 1, 2)).value is None
    assert stats.cohen_kappa(ints(A, B), ints(A, B), ints(0, 1)).value == 1.0
    assert stats.cohen_kappa(ints(N), ints(A), ints(0)) == stats.Estimate(None, None, None, 0)


def test_no_pairs_give_no_figure():
    none = ints()
    assert stats.agreement(none, none, none, with_ties=True) == stats.Estimate(None, None, None, 0)
    assert stats.position_report(none, none, none).consistency.value is None


def test_confusion_counts_missing_verdicts_apart():
    table = stats.confusion(PEOPLE, JUDGE)
    assert table.tolist() == [[1, 1, 0, 1], [0, 1, 1, 0], [1, 0, 1, 0]]


def test_position_report_splits_flips_by_slot():
    order_ab = ints(A, A, B, A, T, N)
    order_ba = ints(A, B, A, T, T, A)
    report = stats.position_report(order_ab, order_ba, np.arange(6))
    assert report.consistency.value == pytest.approx(2 / 5)
    assert (report.both_read, report.flips_to_first, report.flips_to_second, report.other_flips) == (
        5,
        1,
        1,
        1,
    )


def test_outcomes_from_both_orders():
    assert stats.consistent_outcome(ints(A, A, N, T), ints(A, B, A, T)).tolist() == [A, N, N, T]
    assert stats.probable_outcome(np.array([0.7, 0.2, 0.5, np.nan])).tolist() == [A, B, T, N]


def test_longest_wins():
    assert stats.longest_wins(ints(5, 1, 2), ints(1, 5, 2)).tolist() == [A, B, T]


def slow_cluster_interval(credit, clusters, seed):
    generator = np.random.default_rng(seed)
    names = np.unique(clusters)
    values = []
    for _ in range(stats.RESAMPLES):
        rows = np.concatenate([np.flatnonzero(clusters == c) for c in generator.choice(names, len(names))])
        values.append(credit[rows].mean())
    return np.quantile(values, [0.025, 0.975])


def test_the_interval_is_clustered_by_prompt():
    """Against a loop that copies rows; and clearly wider than if rows were taken as independent."""
    generator = np.random.default_rng(5)
    clusters = np.repeat(np.arange(30), 10)
    by_prompt = generator.random(30) < 0.7
    credit = by_prompt[clusters].astype(float)
    ours = stats.cluster_ratio(credit, np.ones(300), clusters)
    low, high = slow_cluster_interval(credit, clusters, seed=9)
    assert ours.low == pytest.approx(low, abs=0.03)
    assert ours.high == pytest.approx(high, abs=0.03)
    independent = stats.cluster_ratio(credit, np.ones(300), np.arange(300))
    assert (ours.high - ours.low) > 2 * (independent.high - independent.low)


def test_the_same_seed_gives_the_same_interval_in_slices(monkeypatch):
    first = stats.agreement(PEOPLE, JUDGE, PROMPT, with_ties=True)
    assert stats.agreement(PEOPLE, JUDGE, PROMPT, with_ties=True) == first
    monkeypatch.setattr(stats, "_SLICE_CELLS", 10)
    sliced = stats.agreement(PEOPLE, JUDGE, PROMPT, with_ties=True)
    assert (sliced.value, sliced.n) == (first.value, first.n)
    assert sliced.low == pytest.approx(first.low, abs=0.1)
