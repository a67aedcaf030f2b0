"""What a file is, told by its first bytes and never by its name: JSON, a table, Parquet, Arrow, or a zip of those."""

from collections.abc import Iterator
from typing import BinaryIO

from labeling.importing import reader
from labeling.importing.archive import ZIP_MAGICS, archive_names, archive_rows
from labeling.importing.delimited import TRIAL_BYTES, csv_rows, find_dialect
from labeling.importing.parquet import COLUMN_MAGICS, parquet_rows
from labeling.importing.problems import ImportProblem, ProblemError
from labeling.importing.reader import Position, Row
from labeling.importing.sources import ByteSource, Limits


def read_rows(
    handle: BinaryIO, *, limits: Limits | None = None, start: Position | None = None
) -> Iterator[Row | ImportProblem]:
    """Yields rows and problems of a file of any kind, in order; a fatal problem comes last.

    Reading goes on from any `Position` that an earlier row named. Never raises for what is in the file.
    """
    limits = limits or Limits()
    if _is_archive(handle):
        return archive_rows(handle, limits, start, _file_rows)
    return _file_rows(handle, limits, start)


def member_names(handle: BinaryIO) -> tuple[list[str], list[str]]:
    """Files of an archive that are read, and that are passed over; two empty lists for any other file."""
    return archive_names(handle, Limits()) if _is_archive(handle) else ([], [])


def _is_archive(handle: BinaryIO) -> bool:
    handle.seek(0)
    return handle.read(4) in ZIP_MAGICS


def _file_rows(handle: BinaryIO, limits: Limits, start: Position | None) -> Iterator[Row | ImportProblem]:
    handle.seek(0)
    if handle.read(8).startswith(COLUMN_MAGICS):
        return parquet_rows(handle, limits, start)
    source = ByteSource(handle, limits)
    try:
        dialect = find_dialect(source.head(TRIAL_BYTES))
    except ProblemError:  # the reader of lines meets it, too, and says where
        dialect = None
    if dialect is not None:
        return csv_rows(source, dialect, limits, start)
    return reader.read_rows(handle, limits=limits, start=start)
