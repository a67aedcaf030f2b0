"""Layouts: from rows of a snapshot to the rows that a trainer reads, a module for each family of them.

To add one, write a function and an entry in its family's table. The function returns the rows to write, or the
reason (a short word, counted in the manifest) why the comparison, or the prompt, cannot be written in this layout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from labeling.exporting.layouts.base import Layout, Output, Pair
from labeling.exporting.layouts.llamafactory import LLAMAFACTORY_LAYOUTS
from labeling.exporting.layouts.pairs import PAIR_LAYOUTS
from labeling.exporting.layouts.policies import chosen_side, orient, side_of, with_system
from labeling.exporting.layouts.prompts import PROMPT_LAYOUTS, Decided
from labeling.exporting.layouts.unpaired import UNPAIRED_LAYOUTS
from labeling.exporting.layouts.whole import WHOLE, WHOLE_LAYOUTS, Pseudonyms
from labeling.snapshots.rows import SnapshotRow

if TYPE_CHECKING:
    from labeling.exporting.options import ExportOptions

__all__ = [
    "LAYOUTS",
    "Decided",
    "Layout",
    "Output",
    "Pseudonyms",
    "chosen_side",
    "columns_of",
    "schema_of",
    "side_of",
    "write_prompt",
    "write_row",
]

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (*PAIR_LAYOUTS, *LLAMAFACTORY_LAYOUTS, *UNPAIRED_LAYOUTS, *PROMPT_LAYOUTS, *WHOLE_LAYOUTS)
}
# Columns that few layouts read: the people of each row cost as much to read as the rest.
_SELDOM = (
    "annotators", "aspect_votes", "explanations", "voices", "rewritten", "model_a", "model_b", "group", "language",
    "topic", "is_disputed", "weight",
)  # fmt: skip


def schema_of(options: ExportOptions) -> pa.Schema:
    return LAYOUTS[options.layout].schema(options)


def columns_of(options: ExportOptions) -> tuple[str, ...]:
    """The columns of a snapshot that an export reads."""
    reads = LAYOUTS[options.layout].reads
    return tuple(name for name in WHOLE if name not in _SELDOM or name in reads)


def write_row(row: SnapshotRow, options: ExportOptions, pseudonyms: Pseudonyms) -> Output:
    """The output rows of one snapshot row, or why it is left out. Not for layouts of the kind "prompts"."""
    layout, side = LAYOUTS[options.layout], side_of(row, options)
    given: Pair | list[tuple[str, bool]]
    if layout.kind == "whole":
        kept = {"a", "b"}
        kept |= {"tie"} if options.ties == "keep" else set()
        kept |= {"both_bad"} if options.both_bad == "keep" else set()
        return layout.write(row, options, pseudonyms) if side in kept else side
    if side in ("a", "b"):
        pair = orient(row, side, options)
        given = pair if layout.kind == "pairs" else [(pair.chosen, True), (pair.rejected, False)]
    elif (side, options.both_bad) == ("both_bad", "keep") or (side, options.ties) == ("tie", "both_good"):
        given = [(text, side == "tie") for text in (row.response_a, row.response_b)]
    else:
        return side
    asked = with_system(row, options)
    return asked if isinstance(asked, str) else layout.write(asked, given, options)


def write_prompt(rows: list[Decided], options: ExportOptions) -> Output:
    """The output row of one prompt, given all its rows that have a chosen side, or why it is left out."""
    asked = with_system(rows[0].row, options)
    if isinstance(asked, str):
        return asked
    return LAYOUTS[options.layout].write([rows[0]._replace(row=asked), *rows[1:]], options)
