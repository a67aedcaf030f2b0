"""One row of a snapshot: a comparison with its texts, its votes and its split, as the Parquet file holds
it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import orjson
import pyarrow as pa

SETTLED_BY = ("votes", "reliability", "adjudication", "judges")


@dataclass(frozen=True)
class SnapshotRow:
    """`p_a` is the share of votes for response_a; `strength` the mean 1–4 of the winning side's votes, or
    None.

    `outcome` is one of a, b, tie, both_bad; `split` one of train, validation, test; `group` is what keeps
    related rows in one split. `aspects` has the votes on each aspect that anybody compared the responses by, in the
    order of their keys: `{"aspect": "safe", "votes_a": 2, "votes_b": 0, "votes_tie": 1}`; `aspect_votes` has each of
    them: `{"labeler": "Ann", "aspect": "safe", "outcome": "a", "strength": 3}`. `explanations` say why, of each person
    who did: `{"labeler": "Ann", "rationale": "It is wrong.", "reasons": ["fact"], "spans": [{"response": "b",
    "quote": "1066", "nth": 0, "reason": "fact"}]}`. Every field has an empty default, which is what a field holds that
    was not among the columns asked of `read_snapshot`, or that is younger than the snapshot.

    `origin` is "rewrite" where a response is a person's rewrite of another, else "import"; `rewritten` names the
    response, "a" or "b", that is a rewrite of the other one here, by the person who voted. `settled_by` is one of
    SETTLED_BY. `weight` in (0, 1] is how much those who settled it can be relied on, 1 where nobody asked. `voices`
    are what judges and the reward model say: `{"kind": "judge", "name": "Strict v2", "outcome": "a", "p_a": 0.8}`.
    """

    comparison_id: int = 0
    prompt_id: int = 0
    messages: list[dict[str, str]] = field(default_factory=list)
    response_a_id: int = 0
    response_a: str = ""
    response_b_id: int = 0
    response_b: str = ""
    model_a: str = ""
    model_b: str = ""
    outcome: str = ""
    p_a: float = 0.5
    strength: float | None = None
    votes_a: int = 0
    votes_b: int = 0
    votes_tie: int = 0
    votes_both_bad: int = 0
    group: str = ""
    split: str = ""
    language: str = ""
    topic: str = ""
    is_disputed: bool = False
    annotators: list[dict[str, Any]] = field(default_factory=list)
    aspects: list[dict[str, Any]] = field(default_factory=list)
    origin: str = "import"
    weight: float = 1.0
    settled_by: str = "votes"
    voices: list[dict[str, Any]] = field(default_factory=list)
    aspect_votes: list[dict[str, Any]] = field(default_factory=list)
    rewritten: str = ""
    explanations: list[dict[str, Any]] = field(default_factory=list)

    @property
    def votes(self) -> int:
        return self.votes_a + self.votes_b + self.votes_tie + self.votes_both_bad

    @property
    def agreement(self) -> float:
        """How sure the row's outcome is by those who settled it: the share of the votes that say the same; the
        probability of the winning side where reliabilities settled it; 1 where a reviewer did, or without votes."""
        if self.settled_by == "adjudication" or not self.votes:
            return 1.0
        if self.settled_by == "reliability" and self.outcome in ("a", "b"):
            return self.p_a if self.outcome == "a" else 1 - self.p_a
        said: int = getattr(self, f"votes_{self.outcome}")
        return said / self.votes

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, in the order of the file. Shallow: nested lists are shared."""
        return {name: getattr(self, name) for name in FIELDS}


FIELDS = tuple(entry.name for entry in fields(SnapshotRow))

_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_ANNOTATOR = pa.struct([("labeler", pa.string()), ("outcome", pa.string()), ("strength", pa.int8())])
_VOICE = pa.struct([*((name, pa.string()) for name in ("kind", "name", "outcome")), ("p_a", pa.float64())])
_ASPECT = pa.struct([("aspect", pa.string()), *((f"votes_{side}", pa.int32()) for side in ("a", "b", "tie"))])
_ASPECT_VOTE = pa.struct(
    [*((name, pa.string()) for name in ("labeler", "aspect", "outcome")), ("strength", pa.int8())]
)
_SPAN = pa.struct(
    [("response", pa.string()), ("quote", pa.string()), ("nth", pa.int32()), ("reason", pa.string())]
)
_EXPLANATION = pa.struct(
    [
        ("labeler", pa.string()),
        ("rationale", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("spans", pa.list_(_SPAN)),
    ]
)
_TYPES = {
    "messages": pa.list_(_MESSAGE),
    "annotators": pa.list_(_ANNOTATOR),
    "aspects": pa.list_(_ASPECT),
    "voices": pa.list_(_VOICE),
    "aspect_votes": pa.list_(_ASPECT_VOTE),
    "explanations": pa.list_(_EXPLANATION),
    "weight": pa.float64(),
    "p_a": pa.float64(),
    "strength": pa.float64(),
    "is_disputed": pa.bool_(),
    "comparison_id": pa.int64(),
    "prompt_id": pa.int64(),
    "response_a_id": pa.int64(),
    "response_b_id": pa.int64(),
    "votes_a": pa.int32(),
    "votes_b": pa.int32(),
    "votes_tie": pa.int32(),
    "votes_both_bad": pa.int32(),
}
SCHEMA = pa.schema(
    [pa.field(name, _TYPES.get(name, pa.string())) for name in FIELDS], metadata={"chosen.snapshot": "1"}
)


_DEFAULTS = SnapshotRow()
# Fields that snapshots did not have from the start, with their defaults.
YOUNGER = {
    name: getattr(_DEFAULTS, name)
    for name in (
        "aspects",
        "origin",
        "weight",
        "settled_by",
        "voices",
        "aspect_votes",
        "rewritten",
        "explanations",
    )
}


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class ContentHash:
    """SHA-256 over the rows as canonical JSON lines (keys sorted, no spaces, a newline after each row).

    A field of `YOUNGER` that holds its default is left out, as it was before there was such a field: equal labels have
    equal hashes across versions of this app.
    """

    def __init__(self) -> None:
        self._digest: _Hash = hashlib.sha256()

    def add(self, row: SnapshotRow) -> None:
        values = row.as_dict()
        for name, default in YOUNGER.items():
            if values[name] == default:
                del values[name]
        self._digest.update(orjson.dumps(values, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def storable(text: str) -> str:
    """The text as UTF-8 can hold it: a lone surrogate, which JSON can carry, becomes '?'."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
