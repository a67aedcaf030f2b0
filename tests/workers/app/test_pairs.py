"""Snapshot rows become pairs: orientation, ties, adjudication, slices."""

from __future__ import annotations

import pytest

from labeling.snapshots.rows import SnapshotRow
from workers.pairs import row_to_pair
from workers.reward.slices import length_slice, strength_slice


def row(outcome: str, p_a: float, **fields: object) -> SnapshotRow:
    values = {
        "comparison_id": 7,
        "messages": [{"role": "user", "content": "q"}],
        "response_a": "A text",
        "response_b": "B text",
        "group": "g",
        "split": "test",
        **fields,
    }
    return SnapshotRow(outcome=outcome, p_a=p_a, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "p_a", "chosen", "p_chosen"),
    [
        ("a", 1.0, "A text", 1.0),
        ("b", 0.0, "B text", 1.0),
        ("b", 0.25, "B text", 0.75),
        ("tie", 0.5, "A text", 0.5),
        ("both_bad", 0.5, "A text", 0.5),
        ("tie", 0.4, "B text", 0.6),
        # Adjudicated against the votes: the settled outcome stands, for sure.
        ("a", 0.2, "A text", 1.0),
        ("b", 0.5, "B text", 1.0),
    ],
)
def test_the_preferred_response_is_chosen(outcome: str, p_a: float, chosen: str, p_chosen: float) -> None:
    pair = row_to_pair(row(outcome, p_a))
    assert pair.chosen == chosen
    assert {pair.chosen, pair.rejected} == {"A text", "B text"}
    assert pair.p_chosen == pytest.approx(p_chosen)
    assert (pair.pair_id, pair.group, pair.split) == ("7", "g", "test")


@pytest.mark.parametrize(
    ("outcome", "p_a", "votes", "share"),
    [
        ("a", 1.0, (2, 0, 0, 0), 0.0),
        ("a", 0.625, (2, 1, 1, 0), 0.25),
        ("tie", 0.5, (1, 1, 0, 0), 0.0),  # split votes: settled as a tie, but nobody said so
        ("tie", 0.5, (0, 0, 1, 1), 1.0),
        ("both_bad", 1 / 3, (0, 1, 0, 2), 2 / 3),
        ("tie", 0.5, (2, 0, 0, 0), 1.0),  # adjudicated against the votes
        ("b", 0.0, (2, 0, 1, 0), 0.0),
        ("tie", 0.5, (0, 0, 0, 0), 1.0),  # settled without votes
    ],
)
def test_ties_are_told_from_split_votes(
    outcome: str, p_a: float, votes: tuple[int, int, int, int], share: float
) -> None:
    names = ("votes_a", "votes_b", "votes_tie", "votes_both_bad")
    pair = row_to_pair(row(outcome, p_a, **dict(zip(names, votes, strict=True))))
    assert pair.tie_share == pytest.approx(share)


def test_strength_counts_for_winners_alone() -> None:
    assert row_to_pair(row("a", 1.0, strength=2.5)).strength == 2.5
    assert row_to_pair(row("tie", 0.5, strength=2.5)).strength is None


@pytest.mark.parametrize(("outcome", "p_a"), [("a", 1.0), ("b", 0.0), ("tie", 0.5)])
def test_a_pair_weighs_what_its_row_weighs(outcome: str, p_a: float) -> None:
    assert [row_to_pair(row(outcome, p_a, weight=weight)).weight for weight in (0.05, 0.425)] == [0.05, 0.425]
    assert row_to_pair(row(outcome, p_a)).weight == 1.0


def test_slices_are_named() -> None:
    turns = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "r"},
    ]
    pair = row_to_pair(row("a", 1.0, messages=turns, language="zh", topic="", response_a="x" * 100))
    assert pair.slices == {
        "language": "zh",
        "topic": "unknown",
        "turns": "several",
        "length": "much_longer_chosen",
        "strength": "unknown",
    }


def test_length_and_strength_slices_at_their_edges() -> None:
    assert length_slice("", "") == "similar"
    assert length_slice("x" * 100, "x" * 91) == "similar"
    assert length_slice("x" * 100, "x" * 80) == "longer_chosen"
    assert length_slice("x" * 80, "x" * 100) == "shorter_chosen"
    assert length_slice("x", "x" * 100) == "much_shorter_chosen"
    assert [strength_slice(value) for value in (None, 1.0, 2.0, 4.0)] == [
        "unknown",
        "slight",
        "clear",
        "clear",
    ]


def test_ratings_are_shares_of_the_votes_by_aspect_and_turn_with_the_sides() -> None:
    said = [
        {"aspect": "kind", "votes_a": 0, "votes_b": 0, "votes_tie": 2},
        {"aspect": "safe", "votes_a": 2, "votes_b": 1, "votes_tie": 1},
    ]
    of_a, of_b = {"kind": 0.5, "safe": 0.625}, {"kind": 0.5, "safe": 0.375}
    won_by_a, won_by_b = row_to_pair(row("a", 1.0, aspects=said)), row_to_pair(row("b", 0.0, aspects=said))
    assert (won_by_a.chosen, won_by_a.ratings_chosen, won_by_a.ratings_rejected) == ("A text", of_a, of_b)
    assert (won_by_b.chosen, won_by_b.ratings_chosen, won_by_b.ratings_rejected) == ("B text", of_b, of_a)
    adjudicated = row_to_pair(row("b", 0.75, aspects=said))
    assert (adjudicated.chosen, adjudicated.ratings_chosen) == ("B text", of_b)
    unrated = row_to_pair(row("a", 1.0))
    assert (unrated.ratings_chosen, unrated.ratings_rejected) == ({}, {})


def test_votes_stand_by_annotator_towards_the_chosen_side() -> None:
    annotators = [
        {"labeler": "ann", "outcome": "a", "strength": 2},
        {"labeler": "bob", "outcome": "b", "strength": None},
        {"labeler": "cid", "outcome": "both_bad", "strength": None},
        {"labeler": "dan", "outcome": "tie", "strength": None},
    ]
    votes = row_to_pair(row("a", 0.5, annotators=annotators)).votes
    assert votes == {"ann": "chosen", "bob": "rejected", "cid": "tie", "dan": "tie"}
    assert row_to_pair(row("b", 0.0, annotators=annotators)).votes["bob"] == "chosen"
    twice = row_to_pair(row("a", 0.5, annotators=[annotators[0], {**annotators[1], "labeler": "ann"}])).votes
    assert twice == {"ann": "chosen", "ann (2)": "rejected"}
