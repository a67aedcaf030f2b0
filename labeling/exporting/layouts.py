"""Layouts: from one snapshot row to the rows a trainer reads. To add one, write a function and a table entry.

A function takes the row, its `Pair` and the options, and returns the output rows, or the reason (a short
word, counted in the manifest) why the comparison cannot be written in this layout.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
from django.utils.crypto import salted_hmac

from labeling.exporting.options import ExportOptions
from labeling.snapshots.rows import FIELDS, SCHEMA, SnapshotRow

Message = dict[str, str]
Output = list[dict[str, Any]] | str
MESSAGES = SCHEMA.field("messages").type


@dataclass(frozen=True)
class Pair:
    """A row with its sides named. `margin` is None where the options want none."""

    chosen: str
    rejected: str
    margin: float | None

    def with_margin(self, **values: Any) -> dict[str, Any]:
        return values if self.margin is None else {**values, "margin": self.margin}


def chosen_side(row: SnapshotRow, options: ExportOptions) -> Literal["a", "b"] | str:
    """ "a" or "b", or why the row has no chosen side under these policies."""
    if row.outcome == "both_bad":
        return "both_bad"
    if row.outcome == "tie":
        return _coin(row.comparison_id) if options.ties == "coin" else "tie"
    return row.outcome


def _coin(comparison_id: int) -> Literal["a", "b"]:
    """A fair side, fixed for each comparison."""
    return "ab"[hashlib.sha256(f"coin {comparison_id}".encode()).digest()[0] & 1]  # type: ignore[return-value]


def margin_of(row: SnapshotRow, options: ExportOptions) -> float | None:
    if options.margin == "none":
        return None
    if row.outcome not in ("a", "b"):
        return 0.0
    return abs(2 * row.p_a - 1) if options.margin == "votes" else (row.strength or 0.0)


def orient(row: SnapshotRow, side: str, options: ExportOptions) -> Pair:
    texts = (row.response_a, row.response_b)
    chosen, rejected = texts if side == "a" else texts[::-1]
    return Pair(chosen=chosen, rejected=rejected, margin=margin_of(row, options))


def assistant(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


def single_turn(messages: list[Message]) -> str | None:
    """The prompt as one text, or None where it is a conversation or has a system message."""
    return messages[0]["content"] if len(messages) == 1 and messages[0]["role"] == "user" else None


def transcript(messages: list[Message]) -> str | None:
    """The conversation as an HH transcript, or None where it has a role that such a transcript cannot name."""
    names = {"user": "Human", "assistant": "Assistant"}
    if any(message["role"] not in names for message in messages):
        return None
    return "".join(f"\n\n{names[message['role']]}: {message['content']}" for message in messages)


def trl_explicit(row: SnapshotRow, pair: Pair, options: ExportOptions) -> Output:
    if options.text == "messages":
        prompt, chosen, rejected = row.messages, assistant(pair.chosen), assistant(pair.rejected)
        return [pair.with_margin(prompt=prompt, chosen=chosen, rejected=rejected)]
    text = single_turn(row.messages)
    if text is None:
        return "needs_message_lists"
    return [pair.with_margin(prompt=text, chosen=pair.chosen, rejected=pair.rejected)]


def trl_implicit(row: SnapshotRow, pair: Pair, options: ExportOptions) -> Output:
    both = [[*row.messages, *assistant(text)] for text in (pair.chosen, pair.rejected)]
    if options.text == "messages":
        return [pair.with_margin(chosen=both[0], rejected=both[1])]
    texts = [transcript(messages) for messages in both]
    if None in texts:
        return "needs_message_lists"
    return [pair.with_margin(chosen=texts[0], rejected=texts[1])]


def ms_swift(row: SnapshotRow, pair: Pair, _options: ExportOptions) -> Output:
    messages = [*row.messages, *assistant(pair.chosen)]
    return [pair.with_margin(messages=messages, rejected_response=pair.rejected)]


def kto(row: SnapshotRow, pair: Pair | None, options: ExportOptions) -> Output:
    """Two rows for each comparison; without a pair, both responses are bad."""
    labeled = (
        [(row.response_a, False), (row.response_b, False)]
        if pair is None
        else [(pair.chosen, True), (pair.rejected, False)]
    )
    if options.text == "messages":
        return [
            {"prompt": row.messages, "completion": assistant(text), "label": good} for text, good in labeled
        ]
    prompt = single_turn(row.messages)
    if prompt is None:
        return "needs_message_lists"
    return [{"prompt": prompt, "completion": text, "label": good} for text, good in labeled]


@dataclass(frozen=True)
class Layout:
    """`fields` are the columns when texts are message lists and when they are plain; `has_margin` adds one."""

    name: str
    write: Callable[[SnapshotRow, Any, ExportOptions], Output]
    message_fields: tuple[tuple[str, pa.DataType], ...]
    plain_fields: tuple[tuple[str, pa.DataType], ...]
    has_margin: bool = True

    def schema(self, options: ExportOptions) -> pa.Schema:
        fields = list(self.message_fields if options.text == "messages" else self.plain_fields)
        if self.has_margin and options.margin != "none":
            fields.append(("margin", pa.float64()))
        return pa.schema(fields)


def _plain(*names: str) -> tuple[tuple[str, pa.DataType], ...]:
    return tuple((name, pa.string()) for name in names)


_SWIFT = (("messages", MESSAGES), ("rejected_response", pa.string()))
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "trl-explicit",
            trl_explicit,
            (("prompt", MESSAGES), ("chosen", MESSAGES), ("rejected", MESSAGES)),
            _plain("prompt", "chosen", "rejected"),
        ),
        Layout(
            "trl-implicit",
            trl_implicit,
            (("chosen", MESSAGES), ("rejected", MESSAGES)),
            _plain("chosen", "rejected"),
        ),
        Layout("ms-swift", ms_swift, _SWIFT, _SWIFT),
        Layout(
            "kto",
            kto,
            (("prompt", MESSAGES), ("completion", MESSAGES), ("label", pa.bool_())),
            (*_plain("prompt", "completion"), ("label", pa.bool_())),
            has_margin=False,
        ),
    )
}


_UNREAD = ("annotators", "model_a", "model_b", "group", "language", "topic", "is_disputed")
# The layout "chosen": a row as it stands in the snapshot, but for what people said by aspect.
WHOLE = tuple(name for name in FIELDS if name != "aspects")
WHOLE_SCHEMA = pa.schema([SCHEMA.field(name) for name in WHOLE], metadata=SCHEMA.metadata)


class Pseudonyms:
    """Names of people as short keyed hashes: the same within one snapshot, and no use outside it."""

    def __init__(self, scope: str) -> None:
        self._scope = scope

    def of(self, name: str) -> str:
        digest = salted_hmac("labeling.exporting.pseudonyms", f"{self._scope}\0{name}", algorithm="sha256")
        return f"labeler-{digest.hexdigest()[:12]}"


def full_row(row: SnapshotRow, options: ExportOptions, pseudonyms: Pseudonyms) -> dict[str, Any]:
    """The fields `WHOLE` as they stand in the snapshot; people by pseudonym unless names are asked for."""
    values = {name: getattr(row, name) for name in WHOLE}
    if options.labelers != "names":
        values["annotators"] = [
            {**vote, "labeler": pseudonyms.of(vote["labeler"])} for vote in row.annotators
        ]
    return values


def schema_of(options: ExportOptions) -> pa.Schema:
    return WHOLE_SCHEMA if options.layout == "chosen" else LAYOUTS[options.layout].schema(options)


def columns_of(options: ExportOptions) -> tuple[str, ...]:
    """The columns of a snapshot that an export reads: reading the people of each row costs as much as the
    rest.
    """
    if options.layout == "chosen":
        return WHOLE
    return tuple(name for name in WHOLE if name not in _UNREAD)


def write_row(row: SnapshotRow, options: ExportOptions, pseudonyms: Pseudonyms) -> Output:
    """The output rows of one snapshot row, or why it is left out."""
    if row.outcome in ("a", "b") and row.agreement < options.min_agreement:
        return "min_agreement"
    side = chosen_side(row, options)
    if options.layout == "chosen":
        keeps = {"tie": options.ties == "keep", "both_bad": options.both_bad == "keep"}
        return [full_row(row, options, pseudonyms)] if keeps.get(side, True) else side
    layout = LAYOUTS[options.layout]
    if side == "both_bad" and options.both_bad == "keep":
        return layout.write(row, None, options)
    if side not in ("a", "b"):
        return side
    return layout.write(row, orient(row, side, options), options)
