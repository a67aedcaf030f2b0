"""What a file is, told by its first bytes and never by its name: JSON, a table of cells, or Parquet."""

from collections.abc import Iterator
from typing import BinaryIO

from labeling.importing import reader
from labeling.importing.delimited import TRIAL_BYTES, csv_rows, find_dialect
from labeling.importing.parquet import PARQUET_MAGIC, parquet_rows
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
    handle.seek(0)
    if handle.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC:
        return parquet_rows(handle, limits, start)
    source = ByteSource(handle, limits)
    try:
        dialect = find_dialect(source.head(TRIAL_BYTES))
    except ProblemError:  # the reader of lines meets it, too, and says where
        dialect = None
    if dialect is not None:
        return csv_rows(source, dialect, limits, start)
    return reader.read_rows(handle, limits=limits, start=start)
