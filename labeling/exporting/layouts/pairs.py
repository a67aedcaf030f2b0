"""Layouts of pairs: a comparison is one row with a chosen and a rejected response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from django.utils.translation import gettext_lazy as _

from labeling.exporting.layouts.base import (
    MESSAGES,
    NEEDS_MESSAGE_LISTS,
    NOT_ALTERNATING,
    Layout,
    Output,
    Pair,
    assistant,
    lists,
    single_turn,
    strings,
    transcript,
)
from labeling.snapshots.rows import SnapshotRow

if TYPE_CHECKING:
    from labeling.exporting.options import ExportOptions


def trl_explicit(row: SnapshotRow, pair: Pair, options: ExportOptions) -> Output:
    if options.text == "messages":
        prompt, chosen, rejected = row.messages, assistant(pair.chosen), assistant(pair.rejected)
        return [pair.with_columns(prompt=prompt, chosen=chosen, rejected=rejected)]
    text = single_turn(row.messages)
    if text is None:
        return NEEDS_MESSAGE_LISTS
    return [pair.with_columns(prompt=text, chosen=pair.chosen, rejected=pair.rejected)]


def _conversations(row: SnapshotRow, pair: Pair) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    return [*row.messages, *assistant(pair.chosen)], [*row.messages, *assistant(pair.rejected)]


def trl_implicit(row: SnapshotRow, pair: Pair, options: ExportOptions) -> Output:
    if options.text == "plain":
        return hh(row, pair, options)
    chosen, rejected = _conversations(row, pair)
    return [pair.with_columns(chosen=chosen, rejected=rejected)]


def hh(row: SnapshotRow, pair: Pair, _options: ExportOptions) -> Output:
    (chosen, problem), (rejected, other) = map(transcript, _conversations(row, pair))
    return problem or other or [pair.with_columns(chosen=chosen, rejected=rejected)]


def ms_swift(row: SnapshotRow, pair: Pair, _options: ExportOptions) -> Output:
    """Its reader takes the rejected response for all that follows the last user's turn."""
    if row.messages[-1]["role"] != "user":
        return NOT_ALTERNATING
    chosen, _rejected = _conversations(row, pair)
    return [pair.with_columns(messages=chosen, rejected_response=pair.rejected)]


def ms_swift_messages(row: SnapshotRow, pair: Pair, _options: ExportOptions) -> Output:
    chosen, rejected = _conversations(row, pair)
    return [pair.with_columns(messages=chosen, rejected_messages=rejected)]


class OpenRlhf(Layout):
    """Its columns have the names that the options give them, as OpenRLHF's `--prompt_key` and the others do."""

    def schema(self, options: ExportOptions) -> pa.Schema:
        named = _named(options)
        return pa.schema(
            [field.with_name(named.get(field.name, field.name)) for field in super().schema(options)]
        )


def _named(options: ExportOptions) -> dict[str, str]:
    return dict(zip(("prompt", "chosen", "rejected"), options.keys, strict=True))


def openrlhf(row: SnapshotRow, pair: Pair, options: ExportOptions) -> Output:
    found, named = trl_explicit(row, pair, options), _named(options)
    if isinstance(found, str):
        return found
    return [{named.get(name, name): value for name, value in values.items()} for values in found]


def xtuner(row: SnapshotRow, pair: Pair, _options: ExportOptions) -> Output:
    return [{"prompt": row.messages, "chosen": assistant(pair.chosen), "rejected": assistant(pair.rejected)}]


def ultrafeedback(row: SnapshotRow, pair: Pair, options: ExportOptions) -> Output:
    """The scores differ by the margin: 1 and the mean strength above it, or else each response's share of the votes,
    which import tells by their sum of 1."""
    prompt = single_turn(row.messages)
    if prompt is None:
        return NEEDS_MESSAGE_LISTS
    chosen, rejected = _conversations(row, pair)
    if options.margin == "strength":
        scores = (1 + (pair.margin or 0.0), 1.0)
    else:
        scores = (max(row.p_a, 1 - row.p_a), min(row.p_a, 1 - row.p_a))
    return [
        {
            "prompt": prompt,
            "chosen": chosen,
            "rejected": rejected,
            "score_chosen": scores[0],
            "score_rejected": scores[1],
        }
    ]


def cvalues(row: SnapshotRow, pair: Pair, _options: ExportOptions) -> Output:
    prompt = single_turn(row.messages)
    if prompt is None:
        return NEEDS_MESSAGE_LISTS
    return [{"prompt": prompt, "pos_resp": pair.chosen, "neg_resp": pair.rejected}]


def rm_finetuning(row: SnapshotRow, pair: Pair, _options: ExportOptions) -> Output:
    """The conversation, and in its last message both answers."""
    said: list[dict[str, Any]] = [
        {"role": message["role"], "value": message["content"]} for message in row.messages
    ]
    answers = {"role": "assistant", "chosen_value": pair.chosen, "rejected_value": pair.rejected}
    return [{"messages": [*said, answers]}]


def rewardbench(row: SnapshotRow, pair: Pair, _options: ExportOptions) -> Output:
    """The topic is the subset."""
    prompt = single_turn(row.messages)
    if prompt is None:
        return NEEDS_MESSAGE_LISTS
    return [
        {
            "prompt": prompt,
            "chosen": pair.chosen,
            "chosen_model": pair.chosen_model,
            "rejected": pair.rejected,
            "rejected_model": pair.rejected_model,
            "subset": row.topic,
            "id": row.comparison_id,
        }
    ]


_FINETUNING = pa.list_(
    pa.struct([(name, pa.string()) for name in ("role", "value", "chosen_value", "rejected_value")])
)
_EXPLICIT = (lists("prompt", "chosen", "rejected"), strings("prompt", "chosen", "rejected"))

PAIR_LAYOUTS = (
    Layout(
        "trl-explicit",
        _("TRL, explicit prompt: prompt, chosen, rejected"),
        trl_explicit,
        *_EXPLICIT,
        margin="column",
    ),
    Layout(
        "trl-implicit",
        _("TRL, implicit prompt: chosen, rejected"),
        trl_implicit,
        lists("chosen", "rejected"),
        strings("chosen", "rejected"),
        margin="column",
    ),
    Layout(
        "ms-swift",
        _("ms-swift: messages, rejected_response"),
        ms_swift,
        (("messages", MESSAGES), *strings("rejected_response")),
        margin="column",
    ),
    Layout(
        "ms-swift-messages",
        _("ms-swift: messages, rejected_messages"),
        ms_swift_messages,
        lists("messages", "rejected_messages"),
        margin="column",
    ),
    OpenRlhf(
        "openrlhf",
        _("OpenRLHF: prompt, chosen, rejected under keys of your choice"),
        openrlhf,
        *_EXPLICIT,
        margin="column",
    ),
    Layout("xtuner", _("XTuner: prompt, chosen, rejected, each a message list"), xtuner, _EXPLICIT[0]),
    Layout("hh", _("HH transcripts: chosen, rejected"), hh, strings("chosen", "rejected")),
    Layout(
        "ultrafeedback",
        _("UltraFeedback: prompt, chosen, rejected, and a score of each"),
        ultrafeedback,
        (
            *strings("prompt"),
            *lists("chosen", "rejected"),
            ("score_chosen", pa.float64()),
            ("score_rejected", pa.float64()),
        ),
        margin="own",
    ),
    Layout(
        "cvalues",
        _("CValues: prompt, pos_resp, neg_resp"),
        cvalues,
        strings("prompt", "pos_resp", "neg_resp"),
    ),
    Layout(
        "rm-finetuning",
        _("Reward-Model-Finetuning: messages with chosen_value and rejected_value"),
        rm_finetuning,
        (("messages", _FINETUNING),),
    ),
    Layout(
        "rewardbench",
        _("RewardBench: prompt, chosen, rejected, subset, id"),
        rewardbench,
        (
            *strings("prompt", "chosen", "chosen_model", "rejected", "rejected_model", "subset"),
            ("id", pa.int64()),
        ),
        reads=("model_a", "model_b", "topic"),
    ),
)
