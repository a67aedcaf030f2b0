"""Policies: which side of a row is the chosen one, and by how much."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

from labeling.exporting.layouts.base import Pair
from labeling.snapshots.rows import SnapshotRow

if TYPE_CHECKING:
    from labeling.exporting.options import ExportOptions


def side_of(row: SnapshotRow, options: ExportOptions) -> Literal["a", "b"] | str:
    """ "a" or "b", or why the row has no chosen side under these policies."""
    if row.outcome in ("a", "b") and row.agreement < options.min_agreement:
        return "min_agreement"
    return chosen_side(row, options)


def chosen_side(row: SnapshotRow, options: ExportOptions) -> Literal["a", "b"] | str:
    """As `side_of`, whatever the agreement."""
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
    both = ((row.response_a, row.model_a), (row.response_b, row.model_b))
    (chosen, chosen_model), (rejected, rejected_model) = both if side == "a" else both[::-1]
    return Pair(chosen, rejected, margin_of(row, options), chosen_model, rejected_model)
