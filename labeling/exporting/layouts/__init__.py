"""Layouts: from rows of a snapshot to the rows that a trainer reads, a module for each family of them.

To add one, write a function and an entry in its family's table. The function returns the rows to write, or the
reason (a short word, counted in the manifest) why the comparison, or the prompt, cannot be written in this layout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from labeling.exporting.layouts.base import Layout, Output
from labeling.exporting.layouts.llamafactory import LLAMAFACTORY_LAYOUTS
from labeling.exporting.layouts.pairs import PAIR_LAYOUTS
from labeling.exporting.layouts.policies import chosen_side, orient, side_of
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
_SELDOM = ("annotators", "model_a", "model_b", "group", "language", "topic", "is_disputed")


def schema_of(options: ExportOptions) -> pa.Schema:
    return LAYOUTS[options.layout].schema(options)


def columns_of(options: ExportOptions) -> tuple[str, ...]:
    """The columns of a snapshot that an export reads."""
    reads = LAYOUTS[options.layout].reads
    return tuple(name for name in WHOLE if name not in _SELDOM or name in reads)


def write_row(row: SnapshotRow, options: ExportOptions, pseudonyms: Pseudonyms) -> Output:
    """The output rows of one snapshot row, or why it is left out. Not for layouts of the kind "prompts"."""
    layout, side = LAYOUTS[options.layout], side_of(row, options)
    if layout.kind == "whole":
        is_kept = {
            "tie": options.ties == "keep",
            "both_bad": options.both_bad == "keep",
            "min_agreement": False,
        }
        return layout.write(row, options, pseudonyms) if is_kept.get(side, True) else side
    if side in ("a", "b"):
        return layout.write(row, orient(row, side, options), options)
    if side == "both_bad" and options.both_bad == "keep":
        return layout.write(row, None, options)
    return side


def write_prompt(rows: list[Decided], options: ExportOptions) -> Output:
    """The output row of one prompt, given all its rows that have a chosen side, or why it is left out."""
    return LAYOUTS[options.layout].write(rows, options)
