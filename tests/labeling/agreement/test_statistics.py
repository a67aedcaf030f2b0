"""Agreement statistics against worked examples, slow references and real annotations."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from labeling.statistics import (
    agreeing_pairs,
    cluster_bootstrap,
    cohen_kappa,
    confusions,
    fleiss_kappa,
    fleiss_of_sums,
    fleiss_sums,
    kappa_of_confusions,
    krippendorff_alpha,
    pairwise_agreement,
    share_of_confusions,
    share_of_sums,
    wilson_interval,
)
from tests.shared_data import shared_file

unit_counts = st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=8)


def counts_of(rows: list[list[int]], categories: int) -> np.ndarray:
    return np.array([[row.count(category) for category in range(categories)] for row in rows])


def slow_alpha(units: list[list[int]], delta) -> float:
    """Krippendorff's definition word by word: observed over expected disagreement of pairable values."""
    units = [values for values in units if len(values) > 1]
    values = list(itertools.chain.from_iterable(units))
    n = len(values)
    observed = sum(
        sum(delta(x, y) for x, y in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in units
    )
    expected = sum(delta(x, y) for x, y in itertools.permutations(values, 2)) / (n - 1) if n > 1 else 0
    return 1 - observed / expected if expected else math.nan


@pytest.fixture(scope="module")
def pandalm():
    rows = json.loads(shared_file("pandalm/testset-v1.json").read_text(encoding="utf-8"))
    return np.array([[row[f"annotator{number}"] for number in (1, 2, 3)] for row in rows])


def test_pandalm_alpha_and_kappas(pandalm):
    counts = np.stack([(pandalm == category).sum(axis=1) for category in (0, 1, 2)], axis=1)
    assert krippendorff_alpha(counts) == pytest.approx(0.864, abs=0.0005)
    kappas = [cohen_kappa(pandalm[:, i], pandalm[:, j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert [round(kappa, 2) for kappa in kappas] == [0.85, 0.88, 0.86]


def test_krippendorffs_own_example():
    """Krippendorff 2011, example C: four observers, values missing; nominal 0.743, ordinal 0.815."""
    blank = None
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, blank, blank, blank],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, blank, 3],
        [blank, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, blank],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, blank],
    ]
    units = [[value - 1 for value in column if value is not None] for column in zip(*observers, strict=True)]
    counts = counts_of(units, 5)
    assert krippendorff_alpha(counts) == pytest.approx(0.743, abs=0.0005)
    assert krippendorff_alpha(counts, "ordinal") == pytest.approx(0.815, abs=0.0005)


def test_fleiss_own_example():
    """The table of the 1971 paper as usually printed: 10 subjects, 14 raters, 5 categories; kappa 0.210."""
    table = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    assert fleiss_kappa(np.array(table)) == pytest.approx(0.210, abs=0.0005)


@given(unit_counts)
def test_nominal_alpha_equals_the_definition(counts):
    units = [[category for category, count in enumerate(row) for _ in range(count)] for row in counts]
    expected = slow_alpha(units, lambda x, y: float(x != y))
    assert krippendorff_alpha(np.array(counts)) == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.tuples(st.sampled_from("abt"), st.sampled_from("abt")), min_size=2, max_size=30))
def test_cohen_equals_scikit_learn(pairs):
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    if len({*first, *second}) == 1:
        assert math.isnan(cohen_kappa(first, second))
    else:
        assert cohen_kappa(first, second) == pytest.approx(cohen_kappa_score(first, second))


@given(unit_counts, st.permutations([0, 1, 2]))
def test_names_of_categories_do_not_matter(counts, order):
    array = np.array(counts)
    assert krippendorff_alpha(array[:, order]) == pytest.approx(krippendorff_alpha(array), nan_ok=True)
    assert pairwise_agreement(array[:, order]) == pytest.approx(pairwise_agreement(array), nan_ok=True)


def test_full_agreement_is_one_and_what_is_undefined_is_nan():
    assert krippendorff_alpha(np.array([[3, 0], [0, 3]])) == 1.0
    assert pairwise_agreement(np.array([[3, 0], [0, 3]])) == 1.0
    assert math.isnan(krippendorff_alpha(np.array([[3, 0], [2, 0]])))
    assert math.isnan(krippendorff_alpha(np.empty((0, 3))))
    assert math.isnan(pairwise_agreement(np.array([[1, 0], [0, 1]])))
    assert math.isnan(cohen_kappa(np.array([]), np.array([])))
    assert math.isnan(fleiss_kappa(np.array([[1, 0]])))


def test_unequal_votes_are_refused_where_the_statistic_does_not_allow_them():
    with pytest.raises(ValueError, match="same number"):
        fleiss_kappa(np.array([[2, 0], [1, 2]]))
    with pytest.raises(ValueError, match="same units"):
        cohen_kappa(np.array([1]), np.array([1, 2]))


def test_the_bootstrap_resamples_clusters_not_units():
    """Ten copies of each unit under one prompt must not narrow the interval."""
    generator = np.random.default_rng(0)
    hits = generator.integers(0, 2, size=60)
    sums = np.stack([hits, np.ones(60)], axis=1)
    once = cluster_bootstrap(sums, np.arange(60), share_of_sums)
    copies = cluster_bootstrap(np.repeat(sums, 10, axis=0), np.repeat(np.arange(60), 10), share_of_sums)
    assert (once.value, once.low, once.high) == pytest.approx((copies.value, copies.low, copies.high))
    assert once.low < once.value < once.high
    assert once.high - once.low == pytest.approx(4 * math.sqrt(0.25 / 60), rel=0.25)
    assert (once.n, copies.n) == (60, 600)


def test_intervals_of_the_kappas_equal_a_slow_bootstrap_of_whole_prompts():
    generator = np.random.default_rng(3)
    first, second = generator.integers(0, 3, size=(2, 40))
    second = np.where(generator.random(40) < 0.6, first, second)
    prompts = np.arange(40) // 3
    counts = np.eye(3, dtype=int)[first] + np.eye(3, dtype=int)[second]
    cells = confusions(first, second, 3)
    drawn = np.random.default_rng(0).integers(14, size=(1000, 14))
    rows = [np.concatenate([np.flatnonzero(prompts == prompt) for prompt in draw]) for draw in drawn]

    def check(estimate, slow):
        low, high = np.quantile([slow(kept) for kept in rows], [0.025, 0.975])
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
            (slow(np.arange(40)), low, high)
        )

    check(
        cluster_bootstrap(cells, prompts, kappa_of_confusions),
        lambda kept: cohen_kappa_score(first[kept], second[kept]),
    )
    check(
        cluster_bootstrap(cells, prompts, share_of_confusions),
        lambda kept: np.mean(first[kept] == second[kept]),
    )
    check(
        cluster_bootstrap(fleiss_sums(counts), prompts, fleiss_of_sums),
        lambda kept: fleiss_kappa(counts[kept]),
    )


def test_one_cluster_has_no_interval_and_none_has_no_value():
    one = cluster_bootstrap(np.array([[1.0, 2.0]]), np.array([7]), share_of_sums)
    assert one.value == 0.5
    assert one.low is None
    assert math.isnan(cluster_bootstrap(np.empty((0, 2)), np.array([]), share_of_sums).value)


def test_blocks_do_not_change_the_interval(monkeypatch):
    sums = agreeing_pairs(np.random.default_rng(1).integers(0, 3, size=(40, 3)))
    whole = cluster_bootstrap(sums, np.arange(40), share_of_sums)
    monkeypatch.setattr("labeling.statistics.BLOCK_CELLS", 400)
    assert cluster_bootstrap(sums, np.arange(40), share_of_sums) == whole


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_holds_the_share_and_stays_in_bounds(hits, extra):
    estimate = wilson_interval(hits, hits + extra)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
