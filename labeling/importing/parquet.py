"""Parquet, and the Arrow files of a data set saved to disk: rows in batches, in constant memory.

A row's line is its number. Text of any encoding, lists and structs become what the same row would be in JSON;
values that JSON does not have (times, decimals, bytes) become texts.
"""

import contextlib
import io
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from labeling.importing.problems import ImportProblem, ProblemError
from labeling.importing.reader import Position, Row, depth_of, nul_path
from labeling.importing.sources import Limits

PARQUET_MAGIC = b"PAR1"
# As `datasets` saves them: a stream of record batches. The other kind of Arrow file has an index at its end.
ARROW_MAGICS = (b"\xff\xff\xff\xff", b"ARROW1")
ARROW_STREAM_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
# What must be read from its end, too.
COLUMN_MAGICS = (PARQUET_MAGIC, *ARROW_MAGICS)
BATCH_ROWS = 200
BATCH_BYTES = 64 * 1024 * 1024


def parquet_rows(
    handle: BinaryIO, limits: Limits, start: Position | None = None
) -> Iterator[Row | ImportProblem]:
    """Rows and problems of a file of either kind in order, as `read_rows` gives them. A damaged one is a fatal problem.

    `Position.offset` is the number of rows passed, as `rows` is: Parquet has no offset of a row.
    """
    passed = start.rows if start else 0
    number = passed
    handle.seek(0)
    is_parquet = handle.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    batches = _parquet_batches if is_parquet else _arrow_batches
    try:
        for batch in batches(handle, limits, passed):
            for value in _values(batch, limits):
                number += 1
                after = Position(number, number + 1, number)
                yield _row(value, number, after, limits)
    except ProblemError as error:
        yield error.problem.at(line=number + 1)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0][:200]
        problem = ImportProblem(number + 1, 0, "parquet_damaged", {"reason": reason}, fatal=True)
        yield problem if is_parquet else replace(problem, code="arrow_damaged")


def _parquet_batches(handle: BinaryIO, limits: Limits, passed: int) -> Iterator[pa.RecordBatch]:
    """The rows behind the first `passed`. Row groups that were passed whole are not read."""
    handle.seek(0)
    with pq.ParquetFile(handle, pre_buffer=False, buffer_size=1024 * 1024) as file:
        _check_columns(file.schema_arrow)
        compressed = sum(_group_bytes(file, index) for index in range(file.num_row_groups))
        unpacked = 0
        for group in range(file.num_row_groups):
            found = file.metadata.row_group(group)
            if passed >= found.num_rows:
                passed -= found.num_rows
                continue
            at_once = max(1, min(BATCH_ROWS, BATCH_BYTES * found.num_rows // max(1, found.total_byte_size)))
            for batch in file.iter_batches(at_once, row_groups=[group], use_threads=False):
                unpacked += batch.nbytes
                _check_size(unpacked, compressed, limits)
                skipped = min(passed, len(batch))
                passed -= skipped
                yield batch.slice(skipped)


def _arrow_batches(handle: BinaryIO, limits: Limits, passed: int) -> Iterator[pa.RecordBatch]:
    """The rows behind the first `passed`. A stream says by its last bytes that it is whole."""
    compressed = handle.seek(0, io.SEEK_END)
    handle.seek(max(0, compressed - len(ARROW_STREAM_END)))
    end = handle.read()
    handle.seek(0)
    if handle.read(4) == ARROW_MAGICS[0]:
        if end != ARROW_STREAM_END:
            raise pa.ArrowInvalid("the end of the stream is missing")
        handle.seek(0)
        stream = pa.ipc.open_stream(pa.PythonFile(handle, mode="r"))
        schema, batches = stream.schema, iter(stream)
    else:
        file = pa.ipc.open_file(pa.PythonFile(handle, mode="r"))
        schema, batches = file.schema, map(file.get_batch, range(file.num_record_batches))
    _check_columns(schema)
    unpacked = 0
    for batch in batches:
        unpacked += batch.nbytes
        _check_size(unpacked, compressed, limits)
        for first in range(min(passed, len(batch)), len(batch), BATCH_ROWS):
            yield batch.slice(first, BATCH_ROWS)
        passed -= min(passed, len(batch))


def _check_columns(schema: pa.Schema) -> None:
    names = schema.names
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise ProblemError("column_twice", fatal=True, found=twice)


def _group_bytes(file: pq.ParquetFile, index: int) -> int:
    group = file.metadata.row_group(index)
    return sum(group.column(column).total_compressed_size for column in range(group.num_columns))


def _check_size(unpacked: int, compressed: int, limits: Limits) -> None:
    if unpacked > limits.max_total_bytes:
        raise ProblemError("too_large", fatal=True, limit_bytes=limits.max_total_bytes)
    if unpacked > limits.ratio_free_bytes and unpacked > compressed * limits.max_ratio:
        raise ProblemError("expands_too_much", fatal=True, limit_ratio=limits.max_ratio)


def _values(batch: pa.RecordBatch, limits: Limits) -> Iterator[dict[str, Any] | ProblemError]:
    """The rows as dicts, or what is wrong with one: one by one where one may be too long, or holds no text."""
    if batch.nbytes <= limits.max_line_bytes:
        with contextlib.suppress(UnicodeDecodeError):
            yield from batch.to_pylist()
            return
    for index in range(len(batch)):
        yield _value(batch.slice(index, 1), limits)


def _value(row: pa.RecordBatch, limits: Limits) -> dict[str, Any] | ProblemError:
    found: dict[str, Any] = {}
    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            found[name] = column[0].as_py()
        except UnicodeDecodeError as error:
            return _not_utf8(name, error)
    if len(orjson.dumps(found, default=str, option=orjson.OPT_NON_STR_KEYS)) > limits.max_line_bytes:
        return ProblemError("line_too_long", limit_bytes=limits.max_line_bytes)
    return found


def _not_utf8(name: str, error: UnicodeDecodeError) -> ProblemError:
    return ProblemError("cell_not_utf8", path=name, byte=f"0x{error.object[error.start]:02x}")


def _row(
    value: dict[str, Any] | ProblemError, number: int, after: Position, limits: Limits
) -> Row | ImportProblem:
    place: dict[str, Any] = {"line": number, "column": 0, "row": number}
    if isinstance(value, ProblemError):
        return value.problem.at(line=number, row=number)
    if depth_of(value) > limits.max_depth:
        return ImportProblem(code="too_deep", params={"limit": limits.max_depth}, **place)
    data: dict[str, Any] = {}
    for name, one in value.items():
        try:
            data[name] = _plain(one)
        except UnicodeDecodeError as error:
            return _not_utf8(name, error).problem.at(line=number, row=number)
    if path := nul_path(data):
        return ImportProblem(code="nul_character", params={"path": path}, **place)
    return Row(number, number, data, after)


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, tuple):  # an entry of a map
        return [_plain(one) for one in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode()
    return float(value) if isinstance(value, Decimal) else str(value)
