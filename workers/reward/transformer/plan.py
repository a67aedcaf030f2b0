"""Which token rows meet in which batch: the one plan that training, evaluation and scoring follow.

A plan is a pure function of lengths, settings and a seed, so that a resumed run finds its place in it. ``tree``
batches are random and hold no padding; ``padded`` batches (encoders, and decoders that cannot be packed) are
sorted by length so that they hold little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from ..errors import DataError
from .trees import TokenRow, prompt_of

# Raise it whenever the same data would be planned otherwise: a checkpoint's place is a place in the plan.
VERSION = 2
Layout = Literal["tree", "padded"]
# A prompt with at most this many pairs (ten ranked answers) that fit one batch keeps them together; the pairs of one
# with more are spread over many batches.
WHOLE_PROMPT_PAIRS = 45


class RowPair(Protocol):
    """Two rows that are compared."""

    @property
    def chosen(self) -> TokenRow: ...
    @property
    def rejected(self) -> TokenRow: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """``batches`` hold the numbers of pairs, or of rows where rows are scored, each exactly once.

    Tokens: ``computed`` by the model, padding included; ``read``, were each row of a batch computed by itself;
    ``padded``, were each batch a padded rectangle.
    """

    layout: Layout
    batches: tuple[tuple[int, ...], ...]
    computed: int
    read: int
    padded: int

    def __str__(self) -> str:
        entries = sum(map(len, self.batches))
        return (
            f"{self.layout}: {entries:,} in {len(self.batches):,} batches, {self.computed:,} tokens computed "
            f"for {self.read:,} read ({self.padded:,} if padded)"
        )

    @property
    def saved(self) -> float:
        """Share of the padded rectangles that is not computed."""
        return 1.0 - self.computed / self.padded if self.padded else 0.0


def plan_pairs(pairs: Sequence[RowPair], budget: int, seed: int, epoch: int, layout: Layout) -> Plan:
    """Batches of pairs for one epoch, at most ``budget`` computed tokens each; a pair that alone has more gets a
    batch of its own. Raises ``DataError`` where there is no pair."""
    if not pairs:
        raise DataError("there is no pair to train on")
    rng = np.random.default_rng([seed, epoch])
    rows = [(pair.chosen, pair.rejected) for pair in pairs]
    if layout == "tree":
        units = _whole_prompts(pairs, budget)
        return _measured(layout, rows, _fill(rows, [units[i] for i in rng.permutation(len(units))], budget))
    # A little noise in the order, so that the same pairs do not meet at every epoch.
    lengths = [max(len(a.ids), len(b.ids)) for a, b in rows]
    noisy = np.asarray(lengths, dtype=np.float64) * rng.uniform(0.9, 1.1, len(lengths))
    batches = by_budget(np.argsort(noisy, kind="stable").tolist(), lengths, budget, rows=2)
    return _measured(layout, rows, [batches[i] for i in rng.permutation(len(batches))])


def plan_rows(rows: Sequence[TokenRow], budget: int, layout: Layout) -> Plan:
    """Batches of distinct rows to score, at most ``budget`` computed tokens each; a longer row gets its own."""
    alone = [(row,) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i].ids), rows[i].ids))
    if layout == "padded":
        return _measured(layout, alone, by_budget(order, [len(row.ids) for row in rows], budget))
    units: dict[tuple[int, ...], list[int]] = {}
    for number in order:
        units.setdefault(prompt_of(rows[number]), []).append(number)
    return _measured(layout, alone, _fill(alone, list(units.values()), budget))


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


def _whole_prompts(pairs: Sequence[RowPair], most: int) -> list[list[int]]:
    """Pairs in units that stay together: all pairs of a prompt whose tree has at most ``most`` tokens, so that
    N ranked answers are read once for their N(N-1)/2 pairs; where it has more tokens or pairs than one batch
    should, every pair by itself."""
    members: dict[tuple[int, ...], list[int]] = {}
    for number, pair in enumerate(pairs):
        members.setdefault(prompt_of(pair.chosen), []).append(number)
    units: list[list[int]] = []
    for prompt, numbers in members.items():
        answers = {row for i in numbers for row in (pairs[i].chosen, pairs[i].rejected)}
        size = len(prompt) + sum(len(row.ids) - len(prompt) for row in answers)
        whole = size <= most and len(numbers) <= WHOLE_PROMPT_PAIRS
        units += [numbers] if whole else [[number] for number in numbers]
    return units


def _fill(rows: Sequence[Sequence[TokenRow]], units: Iterable[Sequence[int]], budget: int) -> list[list[int]]:
    """Put units into batches in the order given, counting each prompt and each row of a batch once. A unit over
    the budget is cut."""
    batches: list[list[int]] = []
    prompts: set[tuple[int, ...]] = set()
    known: set[TokenRow] = set()
    size = 0

    def cost(numbers: Sequence[int]) -> int:
        new = {row for i in numbers for row in rows[i]} - known
        forks = {prompt_of(row) for row in new}
        return sum(len(row.ids) - len(prompt_of(row)) for row in new) + sum(map(len, forks - prompts))

    for unit in units:
        whole = cost(unit)
        for part in [unit] if whole <= budget else [[i] for i in unit]:
            added = cost(part)
            if not batches or size + added > budget:
                batches.append([])
                prompts, known, size = set(), set(), 0
                added = cost(part)
            batches[-1] += part
            fresh = {row for i in part for row in rows[i]} - known
            prompts |= {prompt_of(row) for row in fresh}
            known |= fresh
            size += added
    return batches


def _measured(layout: Layout, rows: Sequence[Sequence[TokenRow]], batches: Sequence[Sequence[int]]) -> Plan:
    computed = read = padded = 0
    for batch in batches:
        sides = [row for i in batch for row in rows[i]]
        distinct = set(sides)
        longest = max(len(row.ids) for row in sides)
        read += sum(len(row.ids) for row in sides)
        padded += len(sides) * longest
        if layout == "tree":
            prompts = {prompt_of(row) for row in distinct}
            computed += sum(map(len, prompts)) + sum(len(row.ids) - len(prompt_of(row)) for row in distinct)
        else:
            computed += len(distinct) * longest
    return Plan(layout, tuple(tuple(batch) for batch in batches), computed, read, padded)
