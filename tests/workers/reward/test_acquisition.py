"""Acquisition functions against figures computed by hand and against slow references."""

from __future__ import annotations

import time

import numpy as np
import pytest

from workers.reward.acquisition import (
    coverage,
    covering,
    disagreement,
    expected_change,
    information_gain,
    k_center,
    score_covariance,
    squared_distances,
)


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def some_pairs(rng: np.random.Generator, n: int, responses: int) -> tuple[np.ndarray, np.ndarray]:
    a = rng.integers(0, responses, n)
    return a, (a + rng.integers(1, responses, n)) % responses


def test_disagreement_is_the_information_about_the_head():
    # Heads that are sure of different winners tell one bit; heads that toss the same coin tell nothing.
    found = disagreement([[0.0, 1.0], [0.5, 0.5], [0.9, 0.9], [0.25, 0.75]])
    h = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    np.testing.assert_allclose(found, [1.0, 0.0, 0.0, 1 - h], atol=1e-9)
    assert disagreement([[0.3]]) == 0


def test_expected_change_is_the_mean_length_of_the_gradient():
    p, distance = np.array([0.5, 0.8]), np.array([2.0, 5.0])
    by_hand = p * (1 - p) * distance + (1 - p) * p * distance  # y = 1 with chance p, y = 0 with 1 - p
    np.testing.assert_allclose(expected_change(p, distance), by_hand)
    phi = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(squared_distances(phi, ints(0), ints(1)), [25.0])


def test_k_center_takes_the_farthest_and_knows_no_sides():
    phi = np.array([[0.0, 0.0], [10.0, 0.0], [9.0, 0.0], [0.0, 4.0], [1.0, 0.0]])
    a, b = ints(0, 2, 0, 0), ints(1, 0, 3, 4)  # (-10, 0), (9, 0) turned round, (0, -4), (-1, 0)
    nothing = (ints(), ints())
    assert k_center(phi, a, b, nothing, 2).tolist() == [0, 2]
    assert k_center(phi, a, b, (ints(1), ints(0)), 1).tolist() == [2]
    assert sorted(k_center(phi, a, b, nothing, 9).tolist()) == [0, 1, 2, 3]


def test_k_center_equals_a_slow_reference():
    rng = np.random.default_rng(0)
    phi = rng.normal(size=(20, 5))
    a, b = np.triu_indices(20, 1)
    asked = some_pairs(rng, 4, 20)
    points, centers = phi[a] - phi[b], [np.zeros(5), *(phi[asked[0]] - phi[asked[1]])]
    expected: list[int] = []
    for _ in range(15):
        away = [min(min(np.sum((x - c) ** 2), np.sum((x + c) ** 2)) for c in centers) for x in points]
        expected.append(int(np.argmax([-1 if i in expected else d for i, d in enumerate(away)])))
        centers.append(points[expected[-1]])
    assert k_center(phi, a, b, asked, 15).tolist() == expected


def test_score_covariance_is_the_inverse_hessian():
    rng = np.random.default_rng(1)
    phi = rng.normal(size=(7, 3))
    a, b = some_pairs(rng, 9, 7)
    information = rng.random(9)
    hessian = np.eye(3) + sum(
        w * np.outer(phi[x] - phi[y], phi[x] - phi[y]) for w, x, y in zip(information, a, b, strict=True)
    )
    np.testing.assert_allclose(score_covariance(phi, a, b, information), phi @ np.linalg.inv(hessian) @ phi.T)
    np.testing.assert_allclose(score_covariance(phi, ints(), ints(), np.zeros(0)), phi @ phi.T)


def test_information_gain_equals_recomputing_the_posterior_after_each_choice():
    rng = np.random.default_rng(2)
    phi = rng.normal(size=(12, 6))
    a, b = some_pairs(rng, 40, 12)
    information = rng.random(40) * 0.25
    expected: list[int] = []
    for _ in range(10):
        sigma = score_covariance(phi, a[expected], b[expected], information[expected])
        variance = sigma[a, a] + sigma[b, b] - 2 * sigma[a, b]
        variance[expected] = -1
        expected.append(int((information * variance).argmax()))
    found = information_gain(phi @ phi.T, a, b, information, 10)
    assert found.tolist() == expected


def test_information_gain_does_not_ask_the_same_question_twice():
    phi = np.array([[5.0, 0.0], [0.0, 0.0], [5.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    a, b, quarter = ints(0, 2, 4), ints(1, 3, 1), np.full(3, 0.25)
    assert information_gain(phi @ phi.T, a, b, quarter, 2).tolist() == [0, 2]
    assert information_gain(phi @ phi.T, a, b, quarter, 9).tolist() == [0, 2, 1]


def test_coverage_falls_with_labels():
    np.testing.assert_allclose(coverage([0, 1, 3], [0, 0, 1]), [1.0, 0.75, 0.375])


def test_covering_gives_turns():
    # Four comparisons of four responses; response 0 stands in three of them, response 3 has a label.
    a, b, labels = ints(0, 0, 0, 2), ints(1, 2, 3, 3), ints(0, 0, 0, 1)
    value = np.array([1.0, 0.9, 0.8, 0.5])
    first = 1.0  # the turn of (0, 1): nothing known of either
    second = 0.9 * (1 / 2 + 1) / 2  # (0, 2), after one turn of 0
    third = 0.8 * (1 / 3 + 1 / 2) / 2  # (0, 3), after two turns of 0 and the label of 3
    fourth = 0.5 * (1 / 2 + 1 / 3) / 2  # (2, 3), after the turns of (0, 2) and (0, 3)
    np.testing.assert_allclose(covering(value, a, b, labels), [first, second, third, fourth])
    assert labels.tolist() == [0, 0, 0, 1]


def test_covering_equals_greedy_and_ignores_sides():
    rng = np.random.default_rng(3)
    a, b = some_pairs(rng, 200, 30)
    value, labels = rng.random(200), rng.integers(0, 4, 30)
    counts, expected = labels.copy(), np.zeros(200)
    waiting = set(range(200))
    while waiting:
        now = {i: value[i] * float(coverage(counts[a[i]], counts[b[i]])) for i in waiting}
        best = max(now, key=now.__getitem__)
        expected[best] = now[best]
        waiting.remove(best)
        counts[[a[best], b[best]]] += 1
    np.testing.assert_allclose(covering(value, a, b, labels), expected)
    np.testing.assert_allclose(covering(value, b, a, labels), expected)


def test_covering_of_pairs_that_share_nothing_is_their_value():
    value = np.array([0.3, 1.0, 0.0])
    np.testing.assert_array_equal(covering(value, ints(0, 1, 2), ints(3, 4, 5), np.zeros(6, int)), value)
    assert covering([], ints(), ints(), []).shape == (0,)


def test_covering_is_bounded_and_the_front_is_exact():
    rng = np.random.default_rng(4)
    a, b = some_pairs(rng, 300_000, 30_000)
    value, labels = rng.random(300_000), np.zeros(30_000, int)
    started = time.process_time()
    found = covering(value, a, b, labels, most=5_000)
    assert time.process_time() - started < 5.0
    assert found.shape == (300_000,)
    assert (found >= 0).all()
    assert (found <= value).all()
    # Whoever has no turn is valued as if those with one were labeled.
    front = np.argsort(-value, kind="stable")[:5_000]
    counts = np.bincount(np.concatenate([a[front], b[front]]), minlength=30_000)
    last = int(np.argmin(value))
    assert found[last] == pytest.approx(value[last] * float(coverage(counts[a[last]], counts[b[last]])))
    np.testing.assert_allclose(found[front], covering(value[front], a[front], b[front], labels))
