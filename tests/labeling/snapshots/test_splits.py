"""Splits: by group, by hash, stable as data grows, train never empty without need."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from labeling.snapshots.splits import Splitter, group_place

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
groups = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=12, unique=True)


@given(st.integers(0, 10_000), st.text(max_size=20))
def test_a_place_is_a_number_in_the_unit_interval_and_fixed(seed, group):
    assert 0 <= group_place(seed, group) < 1
    assert group_place(seed, group) == group_place(seed, group)


def test_the_place_of_a_group_is_pinned():
    """Were this to change, every later snapshot would mix what older models trained on into their test."""
    assert group_place(0, "prompt") == 0.6234186289004775


@given(groups, st.integers(0, 1000))
def test_some_group_is_in_train_and_order_does_not_matter(names, seed):
    one, two = Splitter(seed, FRACTIONS), Splitter(seed, FRACTIONS)
    one.ensure_train(names)
    two.ensure_train(list(reversed(names)))
    splits = {name: one.split_of(name) for name in names}
    assert "train" in splits.values()
    assert splits == {name: two.split_of(name) for name in names}


@given(groups, st.integers(0, 1000))
def test_held_out_groups_are_always_test(names, seed):
    splitter = Splitter(seed, FRACTIONS, held_out={names[0]})
    splitter.ensure_train(names)
    assert splitter.split_of(names[0]) == "test"


def test_everything_held_out_leaves_train_empty():
    splitter = Splitter(0, FRACTIONS, held_out={"one", "two"})
    splitter.ensure_train(["one", "two"])
    assert splitter.moved_to_train is None


def test_the_shares_come_out_about_as_asked():
    splitter = Splitter(3, FRACTIONS)
    counts = Counter(splitter.split_of(f"group {number}") for number in range(5000))
    assert abs(counts["train"] / 5000 - 0.8) < 0.03
    assert abs(counts["test"] / 5000 - 0.1) < 0.02
