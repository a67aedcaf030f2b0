"""How rows become batches: every pair once, within the budget, in random order, with nothing wasted."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from workers.reward import DataError
from workers.reward.transformer.plan import by_budget, plan_pairs, plan_rows
from workers.reward.transformer.template import Encoded
from workers.reward.transformer.trees import pack, pack_size


@dataclass(frozen=True)
class Two:
    chosen: Encoded
    rejected: Encoded


def row(rng: random.Random, prompt: tuple[int, ...], longest: int = 60) -> Encoded:
    ids = prompt + tuple(rng.randrange(9) for _ in range(rng.randint(1, longest)))
    return Encoded(ids, len(ids), len(prompt))


def some_pairs(count: int, *, prompt_tokens: int = 20, answers: int = 2, seed: int = 0) -> list[Two]:
    """``count`` prompts, with all pairs of ``answers`` answers each."""
    rng = random.Random(seed)
    out = []
    for _ in range(count):
        prompt = tuple(rng.randrange(9) for _ in range(prompt_tokens))
        rows = [row(rng, prompt) for _ in range(answers)]
        out += [Two(a, b) for i, a in enumerate(rows) for b in rows[i + 1 :]]
    return out


def sides(pairs: list[Two], batch: tuple[int, ...]) -> list[Encoded]:
    return [side for i in batch for side in (pairs[i].chosen, pairs[i].rejected)]


@pytest.mark.parametrize("layout", ["tree", "padded"])
def test_an_epoch_holds_every_pair_once_within_the_budget(layout):
    pairs = some_pairs(200)
    plan = plan_pairs(pairs, 600, 1, 0, layout)
    assert sorted(i for batch in plan.batches for i in batch) == list(range(200))
    sizes = []
    for batch in plan.batches:
        rows = sides(pairs, batch)
        longest = max(len(r.ids) for r in rows)
        sizes.append(pack_size(list(set(rows))) if layout == "tree" else longest * len(set(rows)))
    assert max(sizes) <= 600
    assert plan.computed == sum(sizes)
    assert plan.read == sum(len(r.ids) for r in sides(pairs, tuple(range(200))))
    assert plan == plan_pairs(pairs, 600, 1, 0, layout)
    assert plan != plan_pairs(pairs, 600, 1, 1, layout)
    assert plan != plan_pairs(pairs, 600, 2, 0, layout)
    assert f"{plan.computed:,} tokens computed" in str(plan)


def test_trees_compute_less_than_is_read_and_sorted_rectangles_little_more():
    pairs = some_pairs(200)
    tree, padded = (plan_pairs(pairs, 2000, 1, 0, layout) for layout in ("tree", "padded"))
    assert tree.computed == tree.read - 200 * 20  # each prompt once instead of twice
    assert tree.read < padded.computed < 1.3 * padded.read
    assert 0 < padded.saved + 1e-9 < tree.saved < 1


def test_batches_come_in_random_order_and_composition():
    pairs = some_pairs(200)
    plan = plan_pairs(pairs, 600, 1, 0, "padded")
    longest = [max(len(r.ids) for r in sides(pairs, batch)) for batch in plan.batches]
    assert longest != sorted(longest)
    tree = plan_pairs(pairs, 600, 1, 0, "tree")
    assert any(list(batch) != sorted(batch) for batch in tree.batches)


def test_all_pairs_of_a_short_ranked_list_meet_in_one_batch_and_each_answer_is_read_once():
    pairs = some_pairs(30, answers=5)
    plan = plan_pairs(pairs, 4000, 0, 0, "tree")
    batch_of = {i: number for number, batch in enumerate(plan.batches) for i in batch}
    for first in range(0, 300, 10):
        assert len({batch_of[i] for i in range(first, first + 10)}) == 1
    distinct = set(sides(pairs, tuple(range(300))))
    assert plan.computed == pack_size(list(distinct))
    assert plan.computed < plan.read / 4


def test_a_prompt_with_many_pairs_is_spread_over_batches():
    pairs = some_pairs(1, answers=40)
    plan = plan_pairs(pairs, 1000, 0, 0, "tree")
    assert len(plan.batches) > 10
    assert max(pack_size(list(set(sides(pairs, batch)))) for batch in plan.batches) <= 1000


@pytest.mark.parametrize("layout", ["tree", "padded"])
def test_rows_to_score_are_all_planned_and_a_long_one_stands_alone(layout):
    rng = random.Random(0)
    rows = [row(rng, (1, 2, 3)) for _ in range(50)] + [row(rng, (4,) * 500)]
    plan = plan_rows(rows, 200, layout)
    assert sorted(i for batch in plan.batches for i in batch) == list(range(51))
    assert (50,) in plan.batches
    if layout == "tree":
        for batch in plan.batches:
            assert batch == (50,) or pack([rows[i] for i in batch]).input_ids.shape[1] <= 200


def test_an_item_over_the_budget_stands_alone():
    assert by_budget([0, 1, 2], [3, 50, 4], 10) == [[0], [1], [2]]
    assert by_budget([0, 1, 2], [3, 3, 4], 12) == [[0, 1, 2]]


def test_nothing_to_train_on_says_so():
    with pytest.raises(DataError, match="no pair"):
        plan_pairs([], 100, 0, 0, "tree")
