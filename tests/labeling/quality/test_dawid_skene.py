"""Dawid and Skene's model against a slow one over dictionaries, and against people whose errors are known."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.dawid_skene import MIRROR, accuracy, fit, informedness, posterior
from labeling.demo.simulate import SimulatedLabeler, label

votes_lists = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30
)


def columns(rows):
    """Arrays of (item, person, outcome), items and people renumbered without gaps, one vote for each."""
    unique = {(item, person): outcome for item, person, outcome in rows}
    items = np.unique([item for item, _person in unique], return_inverse=True)[1]
    people = np.unique([person for _item, person in unique], return_inverse=True)[1]
    return items, people, np.array(list(unique.values()))


def slow_round(posteriors, votes):
    """One round of the algorithm, word by word: every item as itself and mirrored, one vote added to each cell."""
    both = []
    for number, shares in enumerate(posteriors):
        said = [(person, outcome) for item, person, outcome in votes if item == number]
        both.append((shares, said))
        both.append(([shares[MIRROR[c]] for c in range(4)], [(p, MIRROR[o]) for p, o in said]))
    prior = [1.0] * 4
    cells = defaultdict(lambda: [[1.0] * 4 for _ in range(4)])
    for shares, said in both:
        for true in range(4):
            prior[true] += shares[true]
            for person, outcome in said:
                cells[person][true][outcome] += shares[true]
    prior = [value / sum(prior) for value in prior]
    confusions = {p: [[v / sum(row) for v in row] for row in rows] for p, rows in cells.items()}
    found, likelihood = [], 0.0
    for _shares, said in both[::2]:
        joint = [prior[t] * math.prod(confusions[p][t][o] for p, o in said) for t in range(4)]
        found.append([value / sum(joint) for value in joint])
        likelihood += math.log(sum(joint))
    return found, prior, confusions, likelihood


@settings(max_examples=40, deadline=None)
@given(votes_lists)
def test_it_is_what_the_slow_one_says(rows):
    items, people, outcomes = columns(rows)
    fitted = fit(items, people, outcomes)
    votes = list(zip(items.tolist(), people.tolist(), outcomes.tolist(), strict=True))
    found = []
    for number in range(items.max() + 1):
        said = [outcome for item, _person, outcome in votes if item == number]
        found.append([said.count(true) / len(said) for true in range(4)])
    for _ in range(fitted.iterations):
        found, prior, confusions, likelihood = slow_round(found, votes)
    assert fitted.posteriors == pytest.approx(np.array(found), abs=1e-9)
    assert fitted.prior == pytest.approx(np.array(prior))
    assert fitted.confusions == pytest.approx(np.array([confusions[p] for p in range(people.max() + 1)]))
    assert fitted.log_likelihood == pytest.approx(likelihood)


@settings(max_examples=60, deadline=None)
@given(votes_lists, st.data())
def test_the_objective_never_falls_and_sides_mean_nothing(rows, data):
    items, people, outcomes = columns(rows)
    known = np.array(data.draw(st.lists(st.integers(-1, 3), min_size=7, max_size=7)))[: items.max() + 1]
    fitted = fit(items, people, outcomes, known=known)
    assert all(b >= a - 1e-9 * abs(a) for a, b in zip(fitted.objective, fitted.objective[1:], strict=False))
    assert fitted.confusions[:, 0, 0] == pytest.approx(fitted.confusions[:, 1, 1])
    assert fitted.prior[0] == pytest.approx(fitted.prior[1])
    for item, outcome in enumerate(known):
        if outcome >= 0:
            assert fitted.posteriors[item].tolist() == np.eye(4)[outcome].tolist()
    mirror = np.array([*MIRROR, -1])
    mirrored = fit(items, people, mirror[outcomes], known=mirror[known])
    assert mirrored.posteriors[:, MIRROR] == pytest.approx(fitted.posteriors, abs=1e-9)
    assert mirrored.confusions == pytest.approx(fitted.confusions, abs=1e-9)


def simulated(rates, n=2000, seed=0):
    """Votes on clear pairs (one response is far better) of simulated people with these error rates."""
    people = [
        SimulatedLabeler(f"p{number}", ("en",), error_rate=rate, tie_width=0.0)
        for number, rate in enumerate(rates)
    ]
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, size=n)
    rows = []
    for item, true in enumerate(truth):
        scores = (9.5, 0.5) if true == 0 else (0.5, 9.5)
        for number, person in enumerate(people):
            left = "a" if generator.random() < 0.5 else "b"
            said = label(person, *scores, 300, 300, left, f"{seed}-{item}").outcome
            rows.append((item, number, "ab".index(said)))
    return np.array(rows).T, truth


def test_known_error_rates_come_back_within_five_points():
    rates = (0.03, 0.10, 0.20, 0.35)
    (items, people, outcomes), truth = simulated(rates)
    fitted = fit(items, people, outcomes)
    found = [1 - accuracy(fitted.prior, confusion) for confusion in fitted.confusions]
    assert found == pytest.approx(rates, abs=0.05)
    assert (fitted.posteriors.argmax(axis=1) == truth).mean() > 0.96
    weights = [informedness(fitted.prior, confusion) for confusion in fitted.confusions]
    assert weights == sorted(weights, reverse=True)


def test_labels_do_not_switch_even_where_most_people_guess():
    (items, people, outcomes), truth = simulated((0.05, 0.45, 0.45, 0.45), n=1500)
    fitted = fit(items, people, outcomes)
    assert (fitted.posteriors.argmax(axis=1) == truth).mean() > 0.85
    assert accuracy(fitted.prior, fitted.confusions[0]) > 0.8


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.floats(0.3, 0.95))
def test_equal_people_are_a_majority(outcomes, right):
    confusion = np.full((4, 4), (1 - right) / 3)
    np.fill_diagonal(confusion, right)
    shares = posterior(np.full(4, 0.25), np.stack([confusion] * len(outcomes)), np.array(outcomes))
    counts = np.bincount(outcomes, minlength=4)
    leaders = np.flatnonzero(counts == counts.max())
    assert set(np.flatnonzero(np.isclose(shares, shares.max()))) == set(leaders)


def test_who_guesses_has_the_least_weight_and_who_knows_the_most():
    prior = np.array([0.45, 0.45, 0.08, 0.02])
    assert informedness(prior, np.eye(4)) == pytest.approx(1.0)
    assert informedness(prior, np.tile(prior, (4, 1))) == 0.05
    always_a = np.zeros((4, 4))
    always_a[:, 0] = 1
    assert informedness(prior, always_a) == 0.05


def test_no_votes_is_an_error():
    empty = np.array([], dtype=int)
    with pytest.raises(ValueError, match="none"):
        fit(empty, empty, empty)
