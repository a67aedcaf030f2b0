"""However rows are laid out, scores and gradients are those of rows by themselves: random lengths, families, heads."""

from __future__ import annotations

import functools
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.reward import TransformerConfig
from workers.reward.transformer.batches import EncodedPair, collate, pad
from workers.reward.transformer.objective import Objective
from workers.reward.transformer.packed import packed_scores, scores_of, use_trees
from workers.reward.transformer.plan import plan_pairs
from workers.reward.transformer.pooling import reward_scores
from workers.reward.transformer.trees import pack

from .test_trees import FAMILIES, SHAPES, gradients, one_by_one, rows_of, small

HEADS = [(4, 4), (4, 2), (4, 1), (8, 2), (2, 1)]  # query heads, and key heads shared among them
KINDS = st.tuples(st.sampled_from(FAMILIES), st.sampled_from(HEADS))
SEEDS = st.integers(0, 2**16)
OFTEN = settings(max_examples=6, deadline=None, derandomize=True)


@functools.cache
def models(kind):
    """One model twice: as transformers has it, and reading trees."""
    family, (heads, key_heads) = kind
    plain, packed = (small(family, heads, key_heads) for _ in range(2))
    assert use_trees(packed, 64) == ""
    return plain, packed


def assert_equal_gradients(found, wanted):
    assert float((found - wanted).norm() / wanted.norm()) < 1e-4


LAYOUTS = {
    "padded": lambda plain, packed, rows: reward_scores(plain, *pad([row.ids for row in rows], 0)),
    "padded on the left": lambda plain, packed, rows: reward_scores(
        plain, *pad([row.ids for row in rows], 0, left=True)
    ),
    "packed alone": lambda plain, packed, rows: torch.cat(
        [packed_scores(packed, pack([row])) for row in rows]
    ),
    "packed without sharing": lambda plain, packed, rows: packed_scores(
        packed, pack([row.__class__(row.ids, row.full_length, 0) for row in rows])
    ),
    "prefix-shared": lambda plain, packed, rows: packed_scores(packed, pack(rows)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@OFTEN
@given(KINDS, SHAPES, SEEDS)
def test_every_layout_gives_the_scores_and_gradients_of_rows_one_by_one(layout, kind, shape, seed):
    plain, packed = models(kind)
    rows = rows_of(shape, seed)
    alone = one_by_one(plain, rows)
    found = LAYOUTS[layout](plain, packed, rows)
    torch.testing.assert_close(found, alone, atol=1e-4, rtol=1e-4)
    weights = torch.randn(len(rows), generator=torch.Generator().manual_seed(seed))
    read_by = plain if layout.startswith("padded") else packed
    assert_equal_gradients(gradients(read_by, found, weights), gradients(plain, alone, weights))


def all_pairs(rows, seed):
    """Every pair of a ranked list, with labels of its own."""
    rng = random.Random(seed)
    return [
        EncodedPair(a, b, margin=rng.random(), p_chosen=rng.random(), weight=rng.uniform(0.1, 2.0))
        for i, a in enumerate(rows)
        for b in rows[i + 1 :]
    ]


def loss(model, pairs, layout):
    """The objective over a batch, with every term that reads scores."""
    objective = Objective(TransformerConfig(centering=0.1, barrier=0.01, barrier_limit=50.0, focal=2.0), 32)
    batch = collate(pairs, layout, 0)
    scores = scores_of(model, batch.rows)
    return objective(scores[batch.chosen], scores[batch.rejected], batch.labels)["total"]


@OFTEN
@given(KINDS, st.integers(0, 30), st.lists(st.integers(1, 25), min_size=2, max_size=6), SEEDS)
def test_an_n_way_tree_equals_the_sum_over_its_pairs(kind, prompt, answers, seed):
    plain, packed = models(kind)
    pairs = all_pairs(rows_of([(prompt, answers)], seed), seed)
    whole = loss(packed, pairs, "tree")
    apart = sum(loss(plain, [pair], "padded") for pair in pairs)
    torch.testing.assert_close(whole, apart, atol=1e-4, rtol=1e-4)
    one = torch.ones(())
    assert_equal_gradients(gradients(packed, whole, one), gradients(plain, apart, one))


@OFTEN
@given(
    KINDS,
    SHAPES.filter(lambda shape: any(len(answers) > 1 for _, answers in shape)),
    SEEDS,
    st.integers(20, 200),
)
def test_planned_batches_add_up_to_the_sum_over_pairs(kind, shape, seed, budget):
    plain, packed = models(kind)
    pairs = [
        pair
        for i, tree in enumerate(shape)
        if len(tree[1]) > 1
        for pair in all_pairs(rows_of([tree], seed + i), seed)
    ]
    apart = sum(loss(plain, [pair], "padded") for pair in pairs)
    wanted = gradients(plain, apart, torch.ones(()))
    for layout, model in (("tree", packed), ("padded", plain)):
        batches = plan_pairs(pairs, budget, seed, 0, layout).batches
        whole = sum(loss(model, [pairs[i] for i in batch], layout) for batch in batches)
        torch.testing.assert_close(whole, apart, atol=1e-4, rtol=1e-4)
        assert_equal_gradients(gradients(model, whole, torch.ones(())), wanted)
