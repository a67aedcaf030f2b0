"""What one row of a file means, whatever its layout: a prompt, its responses, and the votes that came with
them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

Outcome = Literal["a", "b", "tie", "both_bad"]
Role = Literal["system", "user", "assistant", "tool"]

HELD_OUT = "test"  # the split that is kept out of training; a record says so in its metadata
PAIR_POLICIES = ("all", "adjacent", "best")


@dataclass(frozen=True)
class ImportedMessage:
    role: Role
    content: str

    def as_json(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class ImportedResponse:
    """`desirable` is KTO's mark: a judgement of the response by itself, None where the file has none. `rewrites` is the
    index of the response in the record that this one is a person's rewrite of.
    """

    text: str
    model: str = ""
    desirable: bool | None = None
    rewrites: int | None = None


@dataclass(frozen=True)
class ImportedVote:
    """One person's outcome between two responses, named by their indices in the record.

    `outcome` "a" means that `first` is better, "b" that `second` is. `labeler` None stands for the labeler
    that the import names for the whole file. `strength` is 1 to 4, None where the file does not say; `margin`
    is a number on the file's own scale, from which `margin_strength` makes one. `aspects` are "a", "b" or "tie" by the
    aspect's key, `aspect_strengths` how strongly, where the file says it. `spans` are passages of the two, as
    `spans_by_response` stores them, but with the index in the record as `response`.
    """

    first: int
    second: int
    outcome: Outcome
    labeler: str | None = None
    strength: int | None = None
    margin: float | None = None
    rationale: str = ""
    duration_ms: int | None = None
    aspects: Mapping[str, str] = field(default_factory=dict)
    aspect_strengths: Mapping[str, int] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    spans: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class ImportedGold:
    """A known outcome between two responses of the record."""

    first: int
    second: int
    outcome: Outcome


@dataclass(frozen=True)
class ImportedSettlement:
    """How the two responses of the record stood settled where the file is from, otherwise than by the majority of its
    votes. `by` is one of SETTLED_BY; "adjudication" alone is kept, and only it has a `strength`.
    """

    by: str
    outcome: Outcome
    strength: int | None = None


@dataclass(frozen=True)
class Record:
    line: int
    messages: tuple[ImportedMessage, ...]
    responses: tuple[ImportedResponse, ...]
    votes: tuple[ImportedVote, ...] = ()
    gold: ImportedGold | None = None
    settled: ImportedSettlement | None = None
    ranked: bool = False  # responses are ordered best to worst, and the votes say so
    external_id: str = ""
    language: str = ""
    topic: str = ""
    group: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def is_marked(self) -> bool:
        """Whether its responses were judged by themselves, so that only their marks make pairs."""
        return any(response.desirable is not None for response in self.responses)

    @property
    def is_adjudicated(self) -> bool:
        return self.settled is not None and self.settled.by == "adjudication"

    @property
    def is_held_out(self) -> bool:
        return bool(self.metadata.get("split") == HELD_OUT)

    @property
    def prompt_text(self) -> str:
        """The prompt's messages as one text, for previews."""
        return "\n\n".join(message.content for message in self.messages)

    def group_value(self, key: str) -> str:
        """The record's split group under a key of the row; '' when the row has no such key."""
        own = {"group": self.group, "topic": self.topic, "language": self.language, "id": self.external_id}
        if own.get(key):
            return own[key]
        value = self.metadata.get(key, "")
        return "" if value is None or isinstance(value, dict | list) else str(value)


def record_pairs(record: Record, policy: str = "all") -> list[tuple[int, int]]:
    """Index pairs of the record that become comparisons, first index below second.

    A record with votes on named pairs, or with marked responses, asks for exactly the pairs that have a
    vote. Otherwise the policy chooses: "all" pairs, "adjacent" ones (n − 1, neighbours in the file's order),
    or "best": the first against each other one. Pairs of equal text are left out, since nobody can prefer one
    of them; of several copies of a text the first one counts.
    """
    count = len(record.responses)
    voted = (record.votes and not record.ranked) or (record.gold and not record.votes)
    if voted or record.is_marked:
        wanted = {_ordered(vote.first, vote.second) for vote in record.votes}
        if record.gold:
            wanted.add(_ordered(record.gold.first, record.gold.second))
        return sorted(wanted)
    kept = _first_copies(record)
    if policy == "adjacent":
        return list(pairwise(kept))
    if policy == "best":
        return [(kept[0], index) for index in kept[1:]] if count else []
    if policy != "all":
        raise ValueError(f"unknown pair policy {policy!r}: choose one of {PAIR_POLICIES}")
    return [(first, second) for position, first in enumerate(kept) for second in kept[position + 1 :]]


def _first_copies(record: Record) -> list[int]:
    """Indices of the responses whose text no earlier response has."""
    seen: dict[str, int] = {}
    for index, response in enumerate(record.responses):
        seen.setdefault(response.text, index)
    return sorted(seen.values())


def _ordered(first: int, second: int) -> tuple[int, int]:
    return (first, second) if first < second else (second, first)


STRENGTHS, QUARTERS = 1.0, 4.0


def margin_scale(largest: float, has_fractions: bool) -> float:
    """What turns margins of a file into strengths, given the largest of them and whether any is no whole number.

    Fractions up to 1 are quarters (Llama 2's 0, 1/3, 2/3, 1). Other margins up to 4 are strengths themselves. A
    wider scale is pressed into 4.
    """
    if largest <= 1 and has_fractions:
        return QUARTERS
    return STRENGTHS if largest <= 4 else 4 / largest


def margin_strength(margin: float, scale: float) -> int | None:
    """Strength 1 to 4 of a margin by its file's `margin_scale`, rounded up. Where margins are strengths themselves, 0
    says that nobody gave one; on any other scale it counts as 1.
    """
    if margin == 0 and scale == STRENGTHS:
        return None
    return max(1, min(4, math.ceil(margin * scale)))
