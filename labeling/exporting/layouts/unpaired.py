"""Layouts of single responses with a thumb up or down: two neighbouring rows for each comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from django.utils.translation import gettext_lazy as _

from labeling.exporting.layouts.base import (
    MESSAGES,
    NEEDS_MESSAGE_LISTS,
    NOT_ALTERNATING,
    Layout,
    Output,
    assistant,
    lists,
    single_turn,
    strings,
)
from labeling.exporting.layouts.llamafactory import spoken
from labeling.snapshots.rows import SnapshotRow

if TYPE_CHECKING:
    from labeling.exporting.options import ExportOptions


Labeled = list[tuple[str, bool]]


def kto(row: SnapshotRow, labeled: Labeled, options: ExportOptions) -> Output:
    if options.text == "messages":
        return [
            {"prompt": row.messages, "completion": assistant(text), "label": good} for text, good in labeled
        ]
    prompt = single_turn(row.messages)
    if prompt is None:
        return NEEDS_MESSAGE_LISTS
    return [{"prompt": prompt, "completion": text, "label": good} for text, good in labeled]


def llamafactory_kto(row: SnapshotRow, labeled: Labeled, _options: ExportOptions) -> Output:
    if spoken(row.messages) is None:
        return NOT_ALTERNATING
    return [{"messages": [*row.messages, *assistant(text)], "label": good} for text, good in labeled]


UNPAIRED_LAYOUTS = (
    Layout(
        "kto",
        _("TRL, unpaired: prompt, completion, label"),
        kto,
        (*lists("prompt", "completion"), ("label", pa.bool_())),
        (*strings("prompt", "completion"), ("label", pa.bool_())),
        kind="unpaired",
    ),
    Layout(
        "llamafactory-kto",
        _("LLaMA-Factory, unpaired: messages, label"),
        llamafactory_kto,
        (("messages", MESSAGES), ("label", pa.bool_())),
        kind="unpaired",
    ),
)
