"""LLaMA-Factory's layouts of pairs. docs/exports.md has the entries that they need in its `dataset_info.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from django.utils.translation import gettext_lazy as _

from labeling.exporting.layouts.base import (
    HISTORY,
    NOT_ALTERNATING,
    Layout,
    Message,
    Output,
    Pair,
    exchange,
    strings,
)
from labeling.snapshots.rows import SnapshotRow

if TYPE_CHECKING:
    from labeling.exporting.options import ExportOptions

# Its reader wants a person's or a tool's turn in each odd place and the assistant's in each even one.
_FROM = {"user": "human", "tool": "observation", "assistant": "gpt"}


def alpaca(row: SnapshotRow, pair: Pair, _options: ExportOptions) -> Output:
    found = exchange(row.messages)
    if found is None:
        return NOT_ALTERNATING
    return [
        {
            "instruction": found.question,
            "input": "",
            "system": found.system,
            "history": found.history,
            "chosen": pair.chosen,
            "rejected": pair.rejected,
        }
    ]


def spoken(messages: list[Message]) -> list[Message] | None:
    """The messages behind a system message; None where its reader would pass the row over."""
    turns = messages[1:] if messages[0]["role"] == "system" else messages
    speaks = [turn["role"] == "assistant" for turn in turns]
    is_read = speaks == [False, True] * (len(turns) // 2) + [False]
    return turns if is_read and all(turn["role"] in _FROM for turn in turns) else None


def sharegpt(row: SnapshotRow, pair: Pair, _options: ExportOptions) -> Output:
    turns = spoken(row.messages)
    if turns is None:
        return NOT_ALTERNATING
    has_system = len(turns) < len(row.messages)
    return [
        {
            "conversations": [{"from": _FROM[turn["role"]], "value": turn["content"]} for turn in turns],
            "system": row.messages[0]["content"] if has_system else "",
            "chosen": {"from": "gpt", "value": pair.chosen},
            "rejected": {"from": "gpt", "value": pair.rejected},
        }
    ]


_TURN = pa.struct([("from", pa.string()), ("value", pa.string())])
LLAMAFACTORY_LAYOUTS = (
    Layout(
        "llamafactory-alpaca",
        _("LLaMA-Factory, alpaca: instruction, input, system, history, chosen, rejected"),
        alpaca,
        (*strings("instruction", "input", "system"), ("history", HISTORY), *strings("chosen", "rejected")),
    ),
    Layout(
        "llamafactory-sharegpt",
        _("LLaMA-Factory, sharegpt: conversations, system, chosen, rejected"),
        sharegpt,
        (
            ("conversations", pa.list_(_TURN)),
            *strings("system"),
            ("chosen", _TURN),
            ("rejected", _TURN),
        ),
    ),
)
