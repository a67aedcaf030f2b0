"""Streaming an export: batches of a snapshot's rows in, bytes out, counted and hashed on the way."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from labeling.exporting.layouts import (
    LAYOUTS,
    Output,
    Pseudonyms,
    columns_of,
    schema_of,
    side_of,
    write_prompt,
    write_row,
)
from labeling.exporting.options import ExportOptions
from labeling.exporting.prompts import PromptRows
from labeling.exporting.writers import Writer, writer_for
from labeling.models import Snapshot
from labeling.snapshots.reading import read_snapshot
from labeling.snapshots.rows import SnapshotRow

BATCH = 500
PARQUET_BATCH = 2000
BATCH_CHARS = 8_000_000
# Grows with every change that gives the same options other bytes.
VERSION = f"3 pyarrow {pa.__version__}"


class ExportStream:
    """The bytes of an export, by iteration, once; afterwards its counts, size and SHA-256 are known."""

    def __init__(self, snapshot: Snapshot, options: ExportOptions) -> None:
        self.snapshot = snapshot
        self.options = options
        self.read = 0
        self.written = 0
        self.dropped: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()
        self.size = 0
        self.is_complete = False
        self._digest = hashlib.sha256()
        self._pseudonyms = Pseudonyms(snapshot.content_hash)
        gathers = LAYOUTS[options.layout].kind == "prompts"
        self._prompts = PromptRows(snapshot, options) if gathers else None
        rows = read_snapshot(snapshot, splits=options.splits, columns=columns_of(options))
        # The first row is read now, so that a damaged file is an error before the first byte and not after
        # it.
        self._rows: Iterator[SnapshotRow] = chain(list(islice(rows, 1)), rows)

    @property
    def sha256(self) -> str:
        assert self.is_complete, "the hash is known once all bytes have been read"
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        writer = writer_for(self.options, schema_of(self.options))
        yield from self._counted(self._chunks(writer))
        self.is_complete = True

    def preview(self, *, rows: int, looked_at: int) -> list[dict[str, Any]]:
        """The first rows that would be written, from the first `looked_at` rows of the snapshot. Spends the stream."""
        found: list[dict[str, Any]] = []
        for row in islice(self._rows, looked_at):
            found += self._written(row)
            if len(found) >= rows:
                break
        return found[:rows]

    def _chunks(self, writer: Writer) -> Iterator[bytes]:
        limit = PARQUET_BATCH if self.options.format == "parquet" else BATCH
        waiting: list[dict[str, Any]] = []
        characters = 0
        for row in self._rows:
            self.read += 1
            waiting.extend(self._written(row))
            characters += (
                len(row.response_a) + len(row.response_b) + sum(len(m["content"]) for m in row.messages)
            )
            if len(waiting) >= limit or characters >= BATCH_CHARS:
                yield writer.batch(waiting)
                waiting, characters = [], 0
        yield writer.batch(waiting)
        yield writer.end()

    def _written(self, row: SnapshotRow) -> list[dict[str, Any]]:
        if self._prompts is None:
            return self._kept(write_row(row, self.options, self._pseudonyms), row.split, rows=1)
        side = side_of(row, self.options)
        if side not in ("a", "b"):
            self.dropped[side] += 1
        decided = self._prompts.add(row, side)
        return self._kept(write_prompt(decided, self.options), row.split, len(decided)) if decided else []

    def _kept(self, found: Output, split: str, rows: int) -> list[dict[str, Any]]:
        """What was written of `rows` rows of the snapshot, counted: all rows of a prompt are in one split."""
        if isinstance(found, str):
            self.dropped[found] += rows
            return []
        self.written += len(found)
        self.splits[split] += len(found)
        return found

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if chunk:
                self._digest.update(chunk)
                self.size += len(chunk)
                yield chunk


def export_key(snapshot: Snapshot, options: ExportOptions) -> str:
    return options.key(snapshot.content_hash, VERSION)


def export_file_name(snapshot: Snapshot, options: ExportOptions) -> str:
    splits = "" if len(options.splits) == 3 else "-" + "-".join(options.splits)
    return f"{snapshot.project.slug}-v{snapshot.number}{splits}-{options.layout}{options.suffix}"
