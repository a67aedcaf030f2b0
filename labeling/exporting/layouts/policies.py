"""Policies: which side of a row is the chosen one, by how much, and what becomes of a system prompt."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from labeling.exporting.layouts.base import Pair
from labeling.snapshots.rows import SnapshotRow

if TYPE_CHECKING:
    from labeling.exporting.options import ExportOptions


def side_of(row: SnapshotRow, options: ExportOptions) -> Literal["a", "b"] | str:
    """ "a" or "b", or why the row has no chosen side under these policies."""
    if row.origin == "rewrite" and options.rewrites == "out":
        return "rewrite"
    if row.origin != "rewrite" and options.rewrites == "only":
        return "no_rewrite"
    if row.settled_by == "judges" and options.verdicts == "out":
        return "judges_alone"
    if row.outcome in ("a", "b") and row.agreement < options.min_agreement:
        return "min_agreement"
    return chosen_side(row, options)


def chosen_side(row: SnapshotRow, options: ExportOptions) -> Literal["a", "b"] | str:
    """As `side_of`, whatever the agreement."""
    if row.outcome == "both_bad":
        return "both_bad"
    if row.outcome != "tie":
        return row.outcome
    if options.ties == "soft" and row.p_a != 0.5:
        return "a" if row.p_a > 0.5 else "b"
    return _coin(row.comparison_id) if options.ties in ("coin", "soft") else "tie"


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
    both = ((row.response_a, row.model_a), (row.response_b, row.model_b))
    (chosen, chosen_model), (rejected, rejected_model) = both if side == "a" else both[::-1]
    p_chosen = None if options.ties != "soft" else row.p_a if side == "a" else 1 - row.p_a
    return Pair(chosen, rejected, margin_of(row, options), chosen_model, rejected_model, p_chosen)


def with_system(row: SnapshotRow, options: ExportOptions) -> SnapshotRow | str:
    """The row with its system messages kept, left out, or put before the first user's turn; or why that cannot be."""
    if options.system == "keep" or all(message["role"] != "system" for message in row.messages):
        return row
    system = [message["content"] for message in row.messages if message["role"] == "system"]
    turns = [message for message in row.messages if message["role"] != "system"]
    first = next((place for place, turn in enumerate(turns) if turn["role"] == "user"), None)
    if first is None:
        return "no_user_turn"
    if options.system == "user":
        turns[first] = {"role": "user", "content": "\n\n".join([*system, turns[first]["content"]])}
    return replace(row, messages=turns)
