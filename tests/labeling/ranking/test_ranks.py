"""From places to pairs, without a database."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from django.core.exceptions import ValidationError

from labeling.ranks import RankingSubmission, pairs_of, read_ranking, read_ranking_draft
from labeling.scheme import LabelScheme

ORDER = [70, 20, 50, 10]


@pytest.mark.parametrize("count", [3, 4])
def test_every_ranking_gives_each_pair_once_as_its_places_say(count):
    order = ORDER[:count]
    for places in product([None, *range(1, count + 1)], repeat=count):
        place_of = dict(zip(order, places, strict=True))
        submission = RankingSubmission(places)
        pairs = pairs_of(submission.tiers(order))
        ranked = [pk for pk in order if place_of[pk] is not None]
        assert len(pairs) == len(ranked) * (len(ranked) - 1) // 2
        assert {frozenset(pair[:2]) for pair in pairs} == {frozenset(two) for two in permutations(ranked, 2)}
        for first, second, is_tie in pairs:
            assert is_tie == (place_of[first] == place_of[second])
            assert place_of[first] <= place_of[second]
        assert submission.unranked(order) == [pk for pk in order if place_of[pk] is None]


def test_eight_responses_give_28_pairs():
    submission = RankingSubmission((3, 1, 1, 2, 8, 8, 8, 5))
    pairs = pairs_of(submission.tiers(list(range(8))))
    assert len(pairs) == 28
    assert sum(pair.is_tie for pair in pairs) == 1 + 3
    assert submission.tiers(list(range(8))) == [[1, 2], [3], [0], [7], [4, 5, 6]]


def test_places_may_come_as_text_and_have_gaps():
    found = read_ranking({"places": ["3", "", 1], "duration_ms": "900"}, 3, LabelScheme())
    assert (found.places, found.duration_ms) == ((3, None, 1), 900)


@pytest.mark.parametrize(
    "places",
    [
        None, [], [1, 2], [1, 2, 3, 4], "123", [1, None, None], [None] * 3, [0, 1, 2], [1, 2, 4], [1, 2, "x"],
        [1, 2, True], [1, 2, 1.5], [1, 2, "²"], [1, 2, "9" * 5000], [1, 2, {}], {"0": 1},
    ],
)  # fmt: skip
def test_bad_places_are_refused_by_field(places):
    with pytest.raises(ValidationError) as raised:
        read_ranking({"places": places}, 3, LabelScheme())
    assert set(raised.value.message_dict) == {"places"}


def test_ties_and_rationale_follow_the_scheme():
    with pytest.raises(ValidationError, match="ties"):
        read_ranking({"places": [1, 1, 2]}, 3, LabelScheme(allow_tie=False))
    with pytest.raises(ValidationError, match="rationale"):
        read_ranking({"places": [1, 2, 3]}, 3, LabelScheme(rationale="required"))
    with pytest.raises(ValidationError) as raised:
        read_ranking({"places": [1], "rationale": 7, "duration_ms": "x"}, 3, LabelScheme())
    assert set(raised.value.message_dict) == {"places", "rationale", "duration_ms"}
    off = read_ranking({"places": [1, 2, 3], "rationale": "why"}, 3, LabelScheme(rationale="off"))
    assert off.rationale == ""


def test_a_draft_keeps_what_is_known_and_refuses_nothing():
    draft = read_ranking_draft({"places": ["2", "x", None], "rationale": "a\x00b\ud800"}, 3)
    assert draft == {"places": [2, None, None], "rationale": "ab?"}
    assert read_ranking_draft({"places": "junk", "rationale": []}, 3)["places"] == [None] * 3
