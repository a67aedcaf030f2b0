"""Gathering the rows of a prompt, for layouts that write one row for each prompt.

A snapshot is ordered by comparison, so a prompt's rows may stand anywhere. They are counted first (16 bytes of memory
for each prompt); then a prompt's rows are kept until its last one has come.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from labeling.exporting.layouts import Decided
from labeling.exporting.options import ExportOptions
from labeling.models import Snapshot
from labeling.snapshots.reading import read_snapshot
from labeling.snapshots.rows import SnapshotRow


class PromptRows:
    """Raises SnapshotError where the snapshot cannot be read. Costs a pass over one column of it."""

    def __init__(self, snapshot: Snapshot, options: ExportOptions) -> None:
        rows = read_snapshot(snapshot, splits=options.splits, columns=("prompt_id",))
        found = np.fromiter((row.prompt_id for row in rows), dtype=np.int64)
        self._prompts, self._left = np.unique(found, return_counts=True)  # (P,), (P,)
        self._waiting: dict[int, list[Decided]] = defaultdict(list)

    def add(self, row: SnapshotRow, side: str) -> list[Decided]:
        """The prompt's rows that have a chosen side, once this is its last row; before that, none.

        `side` is "a", "b", or anything else for a row that has none: it is counted and not kept.
        """
        if side in ("a", "b"):
            self._waiting[row.prompt_id].append(Decided(row, side))
        place = int(np.searchsorted(self._prompts, row.prompt_id))
        self._left[place] -= 1
        return [] if self._left[place] else self._waiting.pop(row.prompt_id, [])
