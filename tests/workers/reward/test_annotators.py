"""Agreement with annotators, by hand and against a slow reference; slices derived from a pair."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from workers.reward import Message, Pair, evaluate
from workers.reward.slices import derived_slices, script_slice

from .builders import prompt


def pair(number: int, **votes: str) -> Pair:
    return Pair(f"p{number}", prompt(f"q{number}"), "chosen", "other", votes=votes)


def test_a_model_stands_beside_each_annotator_and_the_annotators_beside_each_other():
    pairs = [
        pair(0, ann="chosen", bob="chosen", cid="rejected"),
        pair(1, ann="rejected", bob="chosen"),
        pair(2, ann="chosen", cid="tie"),
        pair(3),
    ]
    found = evaluate([1.0, 1.0, 0.0, 1.0], [0.0] * 4, pairs, resamples=50)
    ann, bob, cid = found.annotators
    assert (ann.annotator, ann.n, ann.model.value) == ("ann", 3, pytest.approx(1.5 / 3))
    assert (ann.n_others, ann.others) == (3, pytest.approx(1 / 3))
    assert (bob.annotator, bob.n, bob.model.value) == ("bob", 2, 1.0)
    assert (bob.n_others, bob.others) == (3, pytest.approx(1 / 3))
    assert (cid.annotator, cid.n, cid.model.value, cid.n_others, cid.others) == ("cid", 1, 0.0, 2, 0.0)
    assert found.between_annotators.value == pytest.approx((1 / 3 + 0) / 2)
    assert found.n_between == 2
    assert found.as_dict()["annotators"][0]["model"]["value"] == pytest.approx(0.5)


def test_without_votes_there_is_no_agreement_to_report():
    found = evaluate([1.0], [0.0], [pair(0)])
    assert found.annotators == []
    assert found.between_annotators.value is None
    one = evaluate([1.0], [0.0], [pair(0, ann="chosen")])
    assert one.annotators[0].others is None
    assert one.between_annotators.value is None


def test_agreement_equals_a_count_over_all_pairs_of_votes():
    rng = random.Random(0)
    pairs = [
        pair(i, **{name: rng.choice(["chosen", "rejected", "tie"]) for name in "abcde" if rng.random() < 0.7})
        for i in range(60)
    ]
    delta = np.array([rng.choice([-1.0, 0.0, 1.0]) for _ in pairs])
    found = evaluate(delta, np.zeros(60), pairs, resamples=20)
    sides = {"chosen": 1, "rejected": -1}
    rows = []
    for one in pairs:
        votes = [sides[said] for said in one.votes.values() if said in sides]
        if len(votes) > 1:
            rows.append(np.mean([x == y for x, y in itertools.combinations(votes, 2)]))
    assert found.between_annotators.value == pytest.approx(np.mean(rows))
    for figure in found.annotators:
        credit = [
            (d * sides[one.votes[figure.annotator]] + 1) / 2
            for d, one in zip(delta, pairs, strict=True)
            if one.votes.get(figure.annotator) in sides
        ]
        assert figure.model.value == pytest.approx(np.mean(credit))
        assert figure.model.low <= figure.model.value <= figure.model.high
        with_others = [
            said == one.votes[figure.annotator]
            for one in pairs
            if one.votes.get(figure.annotator) in sides
            for name, said in one.votes.items()
            if name != figure.annotator and said in sides
        ]
        assert figure.n_others == len(with_others)
        assert figure.others == pytest.approx(np.mean(with_others))


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("What is water?", "latin"),
        ("水是什么 H2O", "zh"),
        ("水はなに", "ja"),
        ("물은 무엇", "ko"),
        ("что это", "cyrillic"),
        ("123 🙂", "unknown"),
        ("ልጅ", "other"),
    ],
)
def test_a_script_is_told_by_its_letters(text, script):
    assert script_slice(text) == script


def test_slices_are_derived_where_the_caller_names_none():
    several = (*prompt("one"), Message("assistant", "two"), *prompt("three"))
    found = derived_slices(Pair("p", several, "x" * 10, "x" * 30, p_chosen=0.2, strength=1.5))
    assert found == {
        "script": "latin",
        "turns": "several",
        "length": "much_longer_chosen",
        "strength": "slight",
    }
    named = derived_slices(
        Pair("p", prompt("q"), "a", "b", p_chosen=0.5, strength=3, slices={"language": "en"})
    )
    assert named == {"turns": "one", "length": "similar", "strength": "unknown"}
