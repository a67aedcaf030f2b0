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
VERSION = 3
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


@dataclass(frozen=True, slots=True)
class Shapes:
    """What a plan needs to know of its entries (pairs or rows): which rows they have, how long these are, and which
    share a prompt. Made once, it holds no token.

    ``rows[i]`` are the numbers of entry i's rows, equal rows having one number; ``length`` and ``prompt`` (its
    number) are of each row, ``prompt_length`` of each prompt.
    """

    rows: tuple[tuple[int, ...], ...]
    length: tuple[int, ...]
    prompt: tuple[int, ...]
    prompt_length: tuple[int, ...]

    @classmethod
    def of(cls, entries: Iterable[Sequence[TokenRow]]) -> Shapes:
        """The shapes of entries of one row or more each."""
        number: dict[TokenRow, int] = {}
        rows = tuple(tuple(number.setdefault(row, len(number)) for row in entry) for entry in entries)
        prompts: dict[tuple[int, ...], int] = {}
        prompt = tuple(prompts.setdefault(prompt_of(row), len(prompts)) for row in number)
        return cls(rows, tuple(len(row.ids) for row in number), prompt, tuple(map(len, prompts)))

    @classmethod
    def of_pairs(cls, pairs: Sequence[RowPair]) -> Shapes:
        """The shapes of pairs."""
        return cls.of((pair.chosen, pair.rejected) for pair in pairs)

    def longest(self, entry: int) -> int:
        """Tokens of the entry's longest row."""
        return max(self.length[row] for row in self.rows[entry])

    def tree_size(self, rows: Iterable[int]) -> int:
        """Tokens of the trees of these distinct rows."""
        members = list(rows)
        prompts = {self.prompt[row] for row in members}
        own = sum(self.length[row] - self.prompt_length[self.prompt[row]] for row in members)
        return own + sum(self.prompt_length[prompt] for prompt in prompts)


def plan_pairs(pairs: Sequence[RowPair] | Shapes, budget: int, seed: int, epoch: int, layout: Layout) -> Plan:
    """Batches of pairs for one epoch, at most ``budget`` computed tokens each; a pair that alone has more gets a
    batch of its own. Raises ``DataError`` where there is no pair."""
    shapes = pairs if isinstance(pairs, Shapes) else Shapes.of_pairs(pairs)
    if not shapes.rows:
        raise DataError("there is no pair to train on")
    rng = np.random.default_rng([seed, epoch])
    if layout == "tree":
        units = _whole_prompts(shapes, budget)
        return _measured(
            layout, shapes, _fill(shapes, [units[i] for i in rng.permutation(len(units))], budget)
        )
    # A little noise in the order, so that the same pairs do not meet at every epoch.
    lengths = [shapes.longest(i) for i in range(len(shapes.rows))]
    noisy = np.asarray(lengths, dtype=np.float64) * rng.uniform(0.9, 1.1, len(lengths))
    batches = by_budget(np.argsort(noisy, kind="stable").tolist(), lengths, budget, rows=2)
    return _measured(layout, shapes, [batches[i] for i in rng.permutation(len(batches))])


def plan_rows(rows: Sequence[TokenRow], budget: int, layout: Layout) -> Plan:
    """Batches of rows to score, at most ``budget`` computed tokens each; a longer row gets its own. Answers to one
    prompt stand together, short ones first."""
    shapes = Shapes.of((row,) for row in rows)
    lengths = [shapes.longest(i) for i in range(len(rows))]
    order = sorted(range(len(rows)), key=lengths.__getitem__)
    if layout == "padded":
        return _measured(layout, shapes, by_budget(order, lengths, budget))
    units: dict[int, list[int]] = {}
    for entry in order:
        units.setdefault(shapes.prompt[shapes.rows[entry][0]], []).append(entry)
    return _measured(layout, shapes, _fill(shapes, list(units.values()), budget))


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


def _whole_prompts(shapes: Shapes, most: int) -> list[list[int]]:
    """Pairs in units that stay together: all pairs of a prompt whose tree has at most ``most`` tokens, so that
    N ranked answers are read once for their N(N-1)/2 pairs; where it has more tokens or pairs than one batch
    should, every pair by itself."""
    members: dict[int, list[int]] = {}
    for number, rows in enumerate(shapes.rows):
        members.setdefault(shapes.prompt[rows[0]], []).append(number)
    units: list[list[int]] = []
    for numbers in members.values():
        few = len(numbers) <= WHOLE_PROMPT_PAIRS
        whole = few and shapes.tree_size({row for i in numbers for row in shapes.rows[i]}) <= most
        units += [numbers] if whole else [[number] for number in numbers]
    return units


def _fill(shapes: Shapes, units: Iterable[Sequence[int]], budget: int) -> list[list[int]]:
    """Put units into batches in the order given, counting each prompt and each row of a batch once. A unit over
    the budget is cut."""
    batches: list[list[int]] = []
    prompts: set[int] = set()
    known: set[int] = set()
    size = 0

    def added(numbers: Iterable[int]) -> tuple[int, set[int]]:
        """Tokens that entries bring into the batch, and their rows."""
        new = {row for i in numbers for row in shapes.rows[i]} - known
        shared = {shapes.prompt[row] for row in new} & prompts
        return shapes.tree_size(new) - sum(shapes.prompt_length[prompt] for prompt in shared), new

    for unit in units:
        whole = shapes.tree_size({row for i in unit for row in shapes.rows[i]})
        for part in [unit] if whole <= budget else [[i] for i in unit]:
            cost, new = added(part)
            if not batches or size + cost > budget:
                batches.append([])
                prompts, known, size = set(), set(), 0
                cost, new = added(part)
            batches[-1] += part
            prompts |= {shapes.prompt[row] for row in new}
            known |= new
            size += cost
    return batches


def _measured(layout: Layout, shapes: Shapes, batches: Sequence[Sequence[int]]) -> Plan:
    computed = read = padded = 0
    for batch in batches:
        sides = [row for i in batch for row in shapes.rows[i]]
        distinct = set(sides)
        longest = max(shapes.length[row] for row in sides)
        read += sum(shapes.length[row] for row in sides)
        padded += len(sides) * longest
        computed += shapes.tree_size(distinct) if layout == "tree" else len(distinct) * longest
    return Plan(layout, tuple(tuple(batch) for batch in batches), computed, read, padded)
