"""Held-out pairs are streamed: each distinct response is scored once, and no texts pile up."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from workers.reward.evaluate import hold
from workers.reward.types import Item, Message, Pair, Scores
from workers.services.held_out import score_pairs

TEXT = 4000


class Lengths:
    """A scorer whose score is the response's number; it remembers how much it was given at a time."""

    kind, template_hash, temperature = "starter", "t", 2.0

    def __init__(self) -> None:
        self.calls: list[int] = []

    def score(self, items: Sequence[Item], *, callbacks: object = None) -> Scores:
        self.calls.append(len(items))
        value = np.array([float(item.response.split()[0]) for item in items], dtype=np.float32)
        n = len(items)
        return Scores(value, value[:, None], np.ones(n, dtype=np.int64), np.zeros(n, dtype=bool))


def pairs(count: int, *, shared: int) -> Iterator[Pair]:
    """Pairs of fresh texts; each chosen one stands in `shared` neighbouring pairs."""
    for i in range(count):
        yield Pair(
            str(i),
            (Message("user", f"question {i // shared}"),),
            f"{i // shared} " + "x" * TEXT,
            f"{-i} " + "y" * TEXT,
            slices={"topic": str(i % 3)},
        )


def test_every_pair_gets_its_scores_and_every_response_is_scored_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.services.held_out.SCORE_ITEMS", 10)
    scorer = Lengths()
    found = score_pairs(scorer, pairs(100, shared=4))
    assert found.chosen.tolist() == [i // 4 for i in range(100)]
    assert found.rejected.tolist() == [-i for i in range(100)]
    assert found.temperature == 2.0
    assert sum(scorer.calls) == 125
    assert max(scorer.calls) <= 11


def test_without_pairs_there_are_no_scores() -> None:
    found = score_pairs(Lengths(), iter(()))
    assert found.chosen.shape == found.rejected.shape == (0,)


def test_memory_does_not_grow_with_the_texts() -> None:
    """4,000 pairs hold 32 MB of text; what is kept of them is a small fraction of it."""
    tracemalloc.start()
    try:
        score_pairs(Lengths(), pairs(4000, shared=1))
        scored = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        held = hold(pairs(4000, shared=1))
        prepared = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(held) == 4000
    assert scored < 14_000_000
    assert prepared < 5_000_000
