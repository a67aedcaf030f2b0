"""The Parquet file of a snapshot: written beside its place, synced and renamed; verified by its hash when
opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from itertools import pairwise, repeat
from pathlib import Path
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings
from django.utils.translation import gettext_noop

from labeling.models import Snapshot, SnapshotState
from labeling.snapshots.rows import FIELDS, SCHEMA, SnapshotRow
from webapp.jobs.messages import message

GROUP_ROWS = 2000
GROUP_BYTES = 32 * 1024 * 1024


class SnapshotError(Exception):
    """A snapshot's file cannot be used."""

    permanent = True


class SnapshotNotReadyError(SnapshotError):
    """The snapshot is still being made, or making it failed."""


class SnapshotMissingError(SnapshotError):
    """The snapshot's file is not where it was written."""


class SnapshotCorruptError(SnapshotError):
    """The snapshot's file does not have the hash that was recorded when it was written."""


def snapshot_path(snapshot: Snapshot) -> Path:
    return Path(settings.DATA_DIR) / "snapshots" / str(snapshot.project_id) / f"{snapshot.uid}.parquet"


class RowsFile:
    """A Parquet file written in groups of 2,000 rows (or 32 MB of text, whichever is first): memory stays constant.

    Same rows, same bytes, for one version of pyarrow. Use as a context manager: leaving it by an error
    removes the unfinished file; leaving it without one needs `finish` to have been called.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.final = path
        self.temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        self._schema = schema
        self._file = self.temporary.open("xb")
        self._parquet = pq.ParquetWriter(self._file, schema, compression="zstd", compression_level=3)
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(Exception):
            self._parquet.close()
        self._file.close()
        self.temporary.unlink(missing_ok=True)

    def put(self, values: dict[str, Any], *, size: int) -> None:
        """One more row. `size` is how many characters of text it has."""
        self._rows.append(values)
        self._bytes += size
        if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._parquet.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._bytes = [], 0

    def finish(self) -> str:
        """Close and sync the unfinished file. Returns its SHA-256. It has its final name after `publish`."""
        self._flush()
        self._parquet.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self.temporary.chmod(0o444)
        with self.temporary.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def publish(self) -> None:
        """Give the finished file its final name. A rename: readers see the whole file or none."""
        self.temporary.replace(self.final)
        folder = os.open(self.final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class SnapshotWriter(RowsFile):
    def __init__(self, path: Path) -> None:
        super().__init__(path, SCHEMA)

    def add(self, row: SnapshotRow) -> None:
        size = len(row.response_a) + len(row.response_b)
        size += sum(len(message["content"]) for message in row.messages)
        self.put(row.as_dict(), size=size)


@contextlib.contextmanager
def open_verified(snapshot: Snapshot) -> Iterator[IO[bytes]]:
    """The snapshot's file, open, after its hash has been checked on the same descriptor.

    Raises SnapshotNotReadyError, SnapshotMissingError or SnapshotCorruptError.
    """
    if snapshot.state != SnapshotState.READY:
        raise SnapshotNotReadyError(
            message(gettext_noop("Snapshot %(snapshot)s is not ready."), snapshot=snapshot)
        )
    path = snapshot_path(snapshot)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise SnapshotMissingError(
            message(gettext_noop("The file of snapshot %(snapshot)s is gone."), snapshot=snapshot)
        ) from None
    with file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != snapshot.file_hash:
            raise SnapshotCorruptError(
                message(
                    gettext_noop(
                        "The file of snapshot %(snapshot)s has changed: "
                        "its hash is %(found)s…, not %(recorded)s…."
                    ),
                    snapshot=snapshot,
                    found=found[:12],
                    recorded=snapshot.file_hash[:12],
                )
            )
        file.seek(0)
        yield file


def iterate_rows(
    file: IO[bytes], *, columns: tuple[str, ...] = FIELDS, batch: int = 500
) -> Iterator[SnapshotRow]:
    """The rows of an open snapshot file, in order, at most `batch` of them in memory. A column that an older file
    does not have is left at its default."""
    # Read ahead of the rows (`pre_buffer`), pyarrow would hold all of the file until its end.
    parquet = pq.ParquetFile(file, pre_buffer=False)
    there = set(parquet.schema_arrow.names)
    wanted = [name for name in columns if name in there]
    for block in parquet.iter_batches(batch_size=batch, columns=wanted, use_threads=False):
        names = block.schema.names
        rows = zip(*map(python_values, block.columns), strict=True) if names else repeat((), block.num_rows)
        for values in rows:
            yield SnapshotRow(**dict(zip(names, values, strict=True)))


def python_values(array: pa.Array) -> list[Any]:
    """As `array.to_pylist()`, for lists of structs four times as fast: what they hold is taken out column by column,
    and not value by value."""
    if pa.types.is_list(array.type) and not array.null_count:
        ends = array.offsets.to_pylist()
        held = python_values(array.flatten())
        return [held[start - ends[0] : end - ends[0]] for start, end in pairwise(ends)]
    if pa.types.is_struct(array.type) and not array.null_count:
        names = [array.type.field(place).name for place in range(array.type.num_fields)]
        columns = [python_values(column) for column in array.flatten()]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    found: list[Any] = array.to_pylist()
    return found
