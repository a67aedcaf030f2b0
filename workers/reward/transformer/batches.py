"""Pairs as tokens, and a batch of them as tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..labels import signed_margin
from ..types import Pair
from .objective import Labels, rating_rows
from .plan import Layout
from .template import ConversationEncoder, Encoded
from .trees import Pack, TokenRow, pack


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """One pair as tokens; ``margin`` is signed towards the preferred side; ``ratings`` of chosen and rejected by
    aspect, NaN where missing; ``draws`` how often each head draws the pair."""

    chosen: Encoded
    rejected: Encoded
    margin: float
    p_chosen: float
    weight: float
    p_tie: float = 0.0
    ratings: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    draws: tuple[float, ...] = (1.0,)


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Rows of unequal length as ``input_ids`` and ``attention_mask`` (R, T), right-padded."""

    input_ids: Tensor
    attention_mask: Tensor

    def to(self, device: torch.device) -> Rectangle:
        """The same rows elsewhere."""
        return Rectangle(self.input_ids.to(device), self.attention_mask.to(device))


Rows = Pack | Rectangle


@dataclass(frozen=True, slots=True)
class Batch:
    """Distinct token rows and the pairs over them. An answer in several pairs of a batch is read once.

    ``rows`` are R token rows; ``chosen``, ``rejected`` (B,) row numbers; ``labels`` of the B pairs.
    """

    rows: Rows
    chosen: Tensor
    rejected: Tensor
    labels: Labels

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


def lay_out(rows: Sequence[TokenRow], layout: Layout, pad_id: int) -> Rows:
    """Distinct rows as one input of the model."""
    return pack(rows) if layout == "tree" else Rectangle(*pad([row.ids for row in rows], pad_id))


def collate(pairs: Sequence[EncodedPair], layout: Layout, pad_id: int) -> Batch:
    """Stack pairs into one batch."""
    index = {row: i for i, row in enumerate(dict.fromkeys(r for p in pairs for r in (p.chosen, p.rejected)))}
    return Batch(
        lay_out(list(index), layout, pad_id),
        torch.tensor([index[p.chosen] for p in pairs]),
        torch.tensor([index[p.rejected] for p in pairs]),
        Labels.of(pairs),
    )


def encode_pairs(
    pairs: Iterable[Pair], encoder: ConversationEncoder, margin_scale: float, aspects: Sequence[str] = ()
) -> tuple[list[EncodedPair], int]:
    """Token ids of every pair, with its ratings of ``aspects``, and how many pairs were cut. A text in many pairs
    is encoded once."""
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
        ratings = rating_rows(pair.ratings_chosen, pair.ratings_rejected, aspects)
        labels = (margin, pair.p_chosen, pair.weight, pair.tie_share, ratings)
        out.append(EncodedPair(sides[0], sides[1], *labels))
    return out, overlong
