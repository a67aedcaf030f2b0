"""Reading a snapshot back: streamed, verified, by split and column."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from labeling.models import Snapshot
from labeling.snapshots.config import SPLITS
from labeling.snapshots.files import iterate_rows, open_verified
from labeling.snapshots.rows import FIELDS, SnapshotRow


def read_snapshot(
    snapshot: Snapshot, *, splits: Collection[str] | None = None, columns: Collection[str] | None = None
) -> Iterator[SnapshotRow]:
    """The snapshot's rows by comparison id, streamed in constant memory.

    `splits` keeps rows of these splits; `columns` reads these fields alone and leaves the others at their
    empty defaults. The file's hash is checked before the first row. Raises SnapshotNotReadyError,
    SnapshotMissingError, SnapshotCorruptError, and ValueError for an unknown split or column.
    """
    wanted = tuple(FIELDS if columns is None else (name for name in FIELDS if name in set(columns)))
    _check_known(columns, FIELDS, "column")
    _check_known(splits, SPLITS, "split")
    return _stream(snapshot, splits, wanted)


def _check_known(names: Collection[str] | None, known: tuple[str, ...], what: str) -> None:
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise ValueError(f"unknown {what} {unknown[0]!r}: choose from {', '.join(known)}")


def _stream(
    snapshot: Snapshot, splits: Collection[str] | None, columns: tuple[str, ...]
) -> Iterator[SnapshotRow]:
    read = columns if splits is None or "split" in columns else (*columns, "split")
    with open_verified(snapshot) as file:
        for row in iterate_rows(file, columns=read):
            if splits is None or row.split in splits:
                yield row
