"""Pairs to token batches: sorted by length to save padding, in random order, under a token budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from ..labels import signed_margin
from ..types import Pair
from .template import ConversationEncoder, Encoded


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """One pair as tokens; ``margin`` is signed towards the preferred side."""

    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    margin: float
    p_chosen: float
    weight: float

    @property
    def length(self) -> int:
        """Tokens of the longer side."""
        return max(len(self.chosen), len(self.rejected))


@dataclass(frozen=True, slots=True)
class Batch:
    """Distinct token rows and the pairs over them. An answer in several pairs of a batch is read once.

    ``input_ids``, ``attention_mask`` (R, T), right-padded; ``chosen``, ``rejected`` (B,) row numbers;
    ``margin``, ``p_chosen``, ``weight`` (B,) float32.
    """

    input_ids: Tensor
    attention_mask: Tensor
    chosen: Tensor
    rejected: Tensor
    margin: Tensor
    p_chosen: Tensor
    weight: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch elsewhere."""
        return Batch(*(getattr(self, name).to(device) for name in self.__slots__))


def pad(rows: Sequence[Sequence[int]], pad_id: int, *, left: bool = False) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask (R, T) of rows of unequal length."""
    width = max(len(r) for r in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        span = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, span] = torch.tensor(row, dtype=torch.long)
        mask[i, span] = 1
    return ids, mask


def collate(pairs: Sequence[EncodedPair], pad_id: int) -> Batch:
    """Stack pairs into one batch."""
    index = {row: i for i, row in enumerate(dict.fromkeys(r for p in pairs for r in (p.chosen, p.rejected)))}
    ids, mask = pad(list(index), pad_id)
    return Batch(
        ids,
        mask,
        torch.tensor([index[p.chosen] for p in pairs]),
        torch.tensor([index[p.rejected] for p in pairs]),
        torch.tensor([p.margin for p in pairs], dtype=torch.float32),
        torch.tensor([p.p_chosen for p in pairs], dtype=torch.float32),
        torch.tensor([p.weight for p in pairs], dtype=torch.float32),
    )


def encode_pairs(
    pairs: Iterable[Pair], encoder: ConversationEncoder, margin_scale: float
) -> tuple[list[EncodedPair], int]:
    """Token ids of every pair, and how many pairs were cut. A text in many pairs is encoded once."""
    known: dict[tuple[object, str], Encoded] = {}
    out, overlong = [], 0
    for pair in pairs:
        sides = []
        for text in (pair.chosen, pair.rejected):
            key = (pair.messages, text)
            if key not in known:
                known[key] = encoder.encode(pair.messages, text)
            sides.append(known[key])
        overlong += any(side.truncated for side in sides)
        margin = signed_margin(pair, margin_scale)
        out.append(EncodedPair(sides[0].ids, sides[1].ids, margin, pair.p_chosen, pair.weight))
    return out, overlong


def by_budget(order: Sequence[int], cost: Sequence[int], budget: int, rows: int = 1) -> list[list[int]]:
    """Cut ``order`` into runs whose padded size, ``rows`` x items x longest, stays within ``budget`` tokens.
    An item that alone is over the budget gets a run of its own."""
    out: list[list[int]] = []
    longest = 0
    for i in order:
        longest = max(longest, cost[i])
        if out and rows * (len(out[-1]) + 1) * longest <= budget:
            out[-1].append(i)
        else:
            out.append([i])
            longest = cost[i]
    return out


def plan_epoch(lengths: Sequence[int], budget: int, seed: int, epoch: int) -> list[list[int]]:
    """Batches of pair numbers for one epoch: a pure function of its arguments, so a resumed run finds its
    place.

    Pairs are sorted by length with a little noise, so that the same pairs do not meet at every epoch; then
    the batches are shuffled. Every pair stands in exactly one batch.
    """
    if not lengths:
        raise DataError("there is no pair to train on")
    rng = np.random.default_rng([seed, epoch])
    noisy = np.asarray(lengths, dtype=np.float64) * rng.uniform(0.9, 1.1, len(lengths))
    order = [int(i) for i in np.argsort(noisy, kind="stable")]
    batches = by_budget(order, lengths, budget, rows=2)
    return [batches[i] for i in rng.permutation(len(batches))]
