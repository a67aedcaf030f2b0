"""What changed from one snapshot to another: both files are ordered by comparison, so they are merged in one pass.

A comparison that both have and of which nothing differs but texts' surroundings (votes that left the outcome and nearly
the share where they were) is no change.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from labeling.models import ResolvedOutcome, Snapshot
from labeling.snapshots.rows import SnapshotRow

# How far the share of the votes for a response must have moved to be a change of its own.
SHARE_MOVED = 0.2
KINDS = ("added", "removed", "outcome", "share", "split")
COLUMNS = (
    "comparison_id", "prompt_id", "response_a_id", "response_b_id", "messages", "outcome", "p_a", "split",
    "votes_a", "votes_b", "votes_tie", "votes_both_bad",
)  # fmt: skip
# How many changes of each kind the page shows, and how much of their prompts.
SHOWN = 100
EXCERPT = 160
_FACTS = (("outcome", pa.string()), ("p_a", pa.float64()), ("votes", pa.int32()), ("split", pa.string()))
SCHEMA = pa.schema(
    [
        ("comparison_id", pa.int64()),
        *((name, pa.int64()) for name in ("prompt_id", "response_a_id", "response_b_id")),
        ("prompt", pa.string()),
        *((kind, pa.bool_()) for kind in KINDS),
        *((f"{name}_{when}", kind) for name, kind in _FACTS for when in ("before", "after")),
    ]
)


@dataclass(frozen=True)
class Change:
    """One comparison that changed. `before` is None where it was added, `after` where it was removed."""

    before: SnapshotRow | None
    after: SnapshotRow | None
    kinds: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """A row of SCHEMA. `prompt` is the last message."""
        row = self.after or self.before
        assert row is not None
        said: dict[str, Any] = {
            "comparison_id": row.comparison_id,
            "prompt_id": row.prompt_id,
            "response_a_id": row.response_a_id,
            "response_b_id": row.response_b_id,
            "prompt": row.messages[-1]["content"] if row.messages else "",
        }
        said |= {kind: kind in self.kinds for kind in KINDS}
        for name, _type in _FACTS:
            said[f"{name}_before"] = getattr(self.before, name, None)
            said[f"{name}_after"] = getattr(self.after, name, None)
        return said


def kinds_of(before: SnapshotRow, after: SnapshotRow) -> tuple[str, ...]:
    """What differs between two rows of one comparison."""
    differs = {
        "outcome": before.outcome != after.outcome,
        "share": abs(before.p_a - after.p_a) >= SHARE_MOVED - 1e-9,
        "split": before.split != after.split,
    }
    return tuple(kind for kind, is_other in differs.items() if is_other)


@dataclass
class Differences:
    """The changes, by iteration, once; afterwards what they come to. Both sides are ordered by comparison id."""

    older: Iterator[SnapshotRow]
    newer: Iterator[SnapshotRow]
    rows: dict[str, int] = field(default_factory=lambda: {"older": 0, "newer": 0})
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    changed: int = 0
    # Of the comparisons that both have: outcome before -> outcome after -> how many.
    outcomes: dict[str, dict[str, int]] = field(
        default_factory=lambda: {
            one: dict.fromkeys(ResolvedOutcome.values, 0) for one in ResolvedOutcome.values
        }
    )

    def __iter__(self) -> Generator[Change]:
        before, after = self._next("older"), self._next("newer")
        while before is not None or after is not None:
            if after is None or (before is not None and before.comparison_id < after.comparison_id):
                yield self._counted(Change(before, None, ("removed",)))
                before = self._next("older")
            elif before is None or after.comparison_id < before.comparison_id:
                yield self._counted(Change(None, after, ("added",)))
                after = self._next("newer")
            else:
                self.outcomes[before.outcome][after.outcome] += 1
                kinds = kinds_of(before, after)
                if kinds:
                    yield self._counted(Change(before, after, kinds))
                before, after = self._next("older"), self._next("newer")

    def _next(self, side: str) -> SnapshotRow | None:
        row = next(self.older if side == "older" else self.newer, None)
        self.rows[side] += row is not None
        return row

    def _counted(self, change: Change) -> Change:
        self.changed += 1
        for kind in change.kinds:
            self.counts[kind] += 1
        return change


def settings_changed(older: Snapshot, newer: Snapshot) -> list[dict[str, Any]]:
    """Settings that differ. A snapshot from before there was a setting has none for it: that is no difference."""
    names = older.config.keys() & newer.config.keys()
    return [
        {"name": name, "before": older.config[name], "after": newer.config[name]}
        for name in sorted(names)
        if older.config[name] != newer.config[name]
    ]
