"""What layouts are made of: a row with its sides named, the table entry, and the shapes that texts take."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pyarrow as pa

from labeling.snapshots.rows import SCHEMA

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from labeling.exporting.options import ExportOptions

Message = dict[str, str]
# The rows to write, or the reason (a short word, counted in the manifest) why nothing can be written.
Output = list[dict[str, Any]] | str
Fields = tuple[tuple[str, pa.DataType], ...]

MESSAGES = SCHEMA.field("messages").type
TEXTS = pa.list_(pa.string())
HISTORY = pa.list_(TEXTS)
# Why a row is left out: see docs/exports.md.
NEEDS_MESSAGE_LISTS = "needs_message_lists"
NOT_ALTERNATING = "not_alternating"
TURN_MARKS = "turn_marks_in_text"

_TURN_NAMES = {"user": "Human", "assistant": "Assistant"}
_TURN_MARK = re.compile(r"\n\n(Human|Assistant):")


@dataclass(frozen=True)
class Pair:
    """A row with its sides named. `margin` and `p_chosen` are None where the options want none of them."""

    chosen: str
    rejected: str
    margin: float | None
    chosen_model: str = ""
    rejected_model: str = ""
    p_chosen: float | None = None

    def with_columns(self, **values: Any) -> dict[str, Any]:
        """The values, and the columns that the options add to them."""
        added = {"margin": self.margin, "p_chosen": self.p_chosen}
        return values | {name: value for name, value in added.items() if value is not None}


@dataclass(frozen=True)
class Layout:
    """One entry of the table.

    `kind` says what `write` is given: "pairs" (row, Pair, options); "unpaired" (row, both responses and whether each is
    good, options); "whole" (row, options, Pseudonyms); "prompts" (the prompt's rows, each with its chosen side,
    options). `plain` are the columns when texts are plain, where that changes them. `margin` is "column" where the
    options may add columns, "own" where the layout says it in its own way, "none" where it has no place for it. `reads`
    names columns of the snapshot that only this layout needs.
    """

    name: str
    label: StrOrPromise
    write: Callable[..., Output]
    messages: Fields
    plain: Fields = ()
    kind: Literal["pairs", "unpaired", "whole", "prompts"] = "pairs"
    margin: Literal["column", "own", "none"] = "none"
    reads: tuple[str, ...] = ()

    def schema(self, options: ExportOptions) -> pa.Schema:
        fields = list(self.plain if options.text == "plain" and self.plain else self.messages)
        if self.margin == "column" and options.margin != "none":
            fields.append(("margin", pa.float64()))
        if options.ties == "soft":
            fields.append(("p_chosen", pa.float64()))
        return pa.schema(fields)


def strings(*names: str) -> Fields:
    return tuple((name, pa.string()) for name in names)


def lists(*names: str) -> Fields:
    return tuple((name, MESSAGES) for name in names)


def assistant(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


def single_turn(messages: list[Message]) -> str | None:
    """The prompt as one text, or None where it is a conversation or has a system message."""
    return messages[0]["content"] if len(messages) == 1 and messages[0]["role"] == "user" else None


def transcript(messages: list[Message]) -> tuple[str, str]:
    """The conversation as an HH transcript and "", or "" and why there is none: a role that it cannot name, or a text
    that holds what begins a turn, which a reader would split there.
    """
    if any(message["role"] not in _TURN_NAMES for message in messages):
        return "", NEEDS_MESSAGE_LISTS
    turns = [f"{_TURN_NAMES[message['role']]}: {message['content']}" for message in messages]
    if any(_TURN_MARK.search(turn) for turn in turns):
        return "", TURN_MARKS
    return "".join(f"\n\n{turn}" for turn in turns), ""


class Exchange(NamedTuple):
    """A conversation as question and answer by turns, the last question still without one."""

    system: str
    history: list[list[str]]
    question: str


def exchange(messages: list[Message]) -> Exchange | None:
    """None where user and assistant do not take turns, or the user does not speak last."""
    has_system = bool(messages) and messages[0]["role"] == "system"
    turns = messages[1:] if has_system else messages
    if [turn["role"] for turn in turns] != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
        return None
    texts = [turn["content"] for turn in turns]
    history = [list(turn) for turn in zip(texts[:-1:2], texts[1::2], strict=True)]
    return Exchange(messages[0]["content"] if has_system else "", history, texts[-1])
