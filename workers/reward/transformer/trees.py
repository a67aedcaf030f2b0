"""Token rows packed into trees: a prompt is read once, and every answer to it branches off its end.

Rows with the same prompt become one tree: the prompt's tokens, then each answer's. Position numbers start again
after the prompt for every answer, and an answer's token sees the prompt and its own answer alone, so each row's
states are those of the row by itself. ``N`` answers cost ``Lp + ΣLi`` tokens rather than ``N·Lp + ΣLi``, and none
is padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class TokenRow(Protocol):
    """What can be packed: token ids of a whole conversation, of which the first ``prompt`` are the prompt's."""

    @property
    def ids(self) -> tuple[int, ...]: ...
    @property
    def prompt(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Tree:
    """Where one tree stands in a pack: its prompt at [start, fork), its answers one after another from there,
    each up to an entry of ``ends`` (exclusive)."""

    start: int
    fork: int
    ends: tuple[int, ...]

    @property
    def answers(self) -> list[tuple[int, int]]:
        """[from, to) of every answer."""
        return list(zip((self.fork, *self.ends[:-1]), self.ends, strict=True))


@dataclass(frozen=True, slots=True)
class Pack:
    """Trees laid end to end, as one row of a batch.

    ``input_ids``, ``position_ids`` (1, T); ``last`` (R,) the place of each row's last token, in the order in
    which the rows were given; ``longest`` the tokens of the longest row.
    """

    input_ids: Tensor
    position_ids: Tensor
    last: Tensor
    trees: tuple[Tree, ...]
    longest: int

    def to(self, device: torch.device) -> Pack:
        """The same pack elsewhere."""
        ids, positions, last = (x.to(device) for x in (self.input_ids, self.position_ids, self.last))
        return Pack(ids, positions, last, self.trees, self.longest)


def prompt_of(row: TokenRow) -> tuple[int, ...]:
    """The tokens that other answers to the prompt have in common with this row; at least one token is left to
    the answer."""
    return row.ids[: min(row.prompt, len(row.ids) - 1)]


def pack_size(rows: Sequence[TokenRow]) -> int:
    """Tokens of the pack of these distinct rows."""
    prompts = {prompt_of(row) for row in rows}
    return sum(map(len, prompts)) + sum(len(row.ids) - len(prompt_of(row)) for row in rows)


def pack(rows: Sequence[TokenRow]) -> Pack:
    """Lay rows of at least one token each out as trees."""
    members: dict[tuple[int, ...], list[int]] = {}
    for number, row in enumerate(rows):
        members.setdefault(prompt_of(row), []).append(number)
    ids: list[int] = []
    positions: list[int] = []
    last = [0] * len(rows)
    trees = []
    for prompt, numbers in members.items():
        start = len(ids)
        ids += prompt
        positions += range(len(prompt))
        ends = []
        for number in numbers:
            answer = rows[number].ids[len(prompt) :]
            ids += answer
            positions += range(len(prompt), len(prompt) + len(answer))
            last[number] = len(ids) - 1
            ends.append(len(ids))
        trees.append(Tree(start, start + len(prompt), tuple(ends)))
    longest = 1 + max(positions)
    return Pack(torch.tensor([ids]), torch.tensor([positions]), torch.tensor(last), tuple(trees), longest)
