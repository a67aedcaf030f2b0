"""File formats, written in batches: each writer turns a batch of rows into bytes and keeps nothing."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterable
from typing import Any, Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from labeling.exporting.options import ExportOptions
from labeling.spreadsheets import marked_header, protected

Rows = list[dict[str, Any]]


class Writer(Protocol):
    def batch(self, rows: Rows) -> bytes: ...
    def end(self) -> bytes: ...


class JsonlWriter:
    def batch(self, rows: Rows) -> bytes:
        return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)

    def end(self) -> bytes:
        return b""


class CsvWriter:
    """Lists and objects are cells of JSON. A text that a spreadsheet would run as a formula is protected."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)
        self._has_header = False

    def batch(self, rows: Rows) -> bytes:
        text = io.StringIO(newline="")
        if not self._has_header:
            text.write(marked_header(self._names))
            self._has_header = True
        csv.writer(text).writerows([csv_cell(row.get(name)) for name in self._names] for row in rows)
        return text.getvalue().encode()

    def end(self) -> bytes:
        return b"" if self._has_header else self.batch([])


def csv_cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        value = orjson.dumps(value).decode()
    return protected(value) if isinstance(value, str) else value


class ByteSink(io.RawIOBase):
    """Where pyarrow writes: the bytes wait here until they are taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


class ParquetWriter:
    """One row group for each batch, zstd."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._sink = ByteSink()
        self._file = pa.PythonFile(self._sink, mode="w")
        self._parquet = pq.ParquetWriter(self._file, schema, compression="zstd", compression_level=3)

    def batch(self, rows: Rows) -> bytes:
        if rows:
            self._parquet.write_table(pa.Table.from_pylist(rows, schema=self._schema))
        return self._sink.take()

    def end(self) -> bytes:
        self._parquet.close()
        return self._sink.take()


class GzipWriter:
    """Another writer's bytes, compressed. No time in the header: same bytes in, same bytes out."""

    def __init__(self, inner: Writer) -> None:
        self._inner = inner
        self._zip = zlib.compressobj(6, zlib.DEFLATED, 31)

    def batch(self, rows: Rows) -> bytes:
        return self._zip.compress(self._inner.batch(rows))

    def end(self) -> bytes:
        return self._zip.compress(self._inner.end()) + self._zip.flush()


def writer_for(options: ExportOptions, schema: pa.Schema) -> Writer:
    writer: Writer
    if options.format == "parquet":
        return ParquetWriter(schema)
    writer = JsonlWriter() if options.format == "jsonl" else CsvWriter(schema.names)
    return GzipWriter(writer) if options.compression == "gzip" else writer
