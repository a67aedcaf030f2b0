"""A zip of files, or of a Hugging Face data set's folder: its members one after another, each read as a stream.

Nothing is unpacked under a name of the archive's; a Parquet or Arrow member, which must be read from its end, is
copied to a nameless temporary file. Members must all have one layout. Which of them are read is told by
`dataset_card`.
"""

import io
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO, cast

from labeling.importing.dataset_card import data_splits
from labeling.importing.parquet import COLUMN_MAGICS
from labeling.importing.problems import ImportProblem, ProblemError
from labeling.importing.reader import Position, Row
from labeling.importing.sources import GZIP_MAGIC, Limits

ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
MAX_MEMBERS = 1000
MAX_DIRECTORY_BYTES = 16 * 1024 * 1024
MAX_CARD_BYTES = 256 * 1024
NAME_SHOWN = 200
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, struct.error)
_END, _END_SIZE = b"PK\x05\x06", 22

Read = Callable[[BinaryIO, Limits, Position | None], Iterator[Row | ImportProblem]]


def archive_rows(
    handle: BinaryIO, limits: Limits, start: Position | None, read: Read
) -> Iterator[Row | ImportProblem]:
    """Rows and problems of all members in order, each with its member's name; a fatal problem comes last.

    Rows are counted through the whole archive, lines within a member. `read` reads one member.
    """
    at = start or Position()
    name = ""
    try:
        with zipfile.ZipFile(_checked(handle)) as archive:
            members = _members(archive, limits)
            for index in range(at.member, len(members)):
                info, split = members[index]
                name = info.filename[:NAME_SHOWN]
                inner = Position(at.offset, at.line, at.rows - at.before) if at.rows > at.before else None
                at = Position(rows=at.rows, member=index, before=at.before)
                for event in _member_rows(archive, info, limits, inner, read):
                    found = _placed(event, at, name, split)
                    yield found
                    if isinstance(found, ImportProblem) and found.fatal:
                        return
                    at = replace(at, rows=found.number if isinstance(found, Row) else found.row)
                at = Position(rows=at.rows, member=index + 1, before=at.rows)
    except ProblemError as error:
        yield replace(error.problem.at(line=1), fatal=True)
    except DAMAGE as error:
        reason = str(error)[:200]
        yield ImportProblem(1, 0, "zip_damaged", {"reason": reason}, fatal=True, member=name)


def archive_names(handle: BinaryIO, limits: Limits) -> tuple[list[str], list[str]]:
    """Names of the members that are read, and of those that are passed over; none of what is no sound zip."""
    try:
        with zipfile.ZipFile(_checked(handle)) as archive:
            read = [info.filename for info, _split in _members(archive, limits)]
            spare = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (ProblemError, *DAMAGE):
        return [], []
    return [name[:NAME_SHOWN] for name in read], sorted({name[:NAME_SHOWN] for name in spare} - {*read})


def _checked(handle: BinaryIO) -> BinaryIO:
    """The same handle. Raises ProblemError where its directory would not fit in memory."""
    size = handle.seek(0, io.SEEK_END)
    handle.seek(max(0, size - 65_536 - _END_SIZE))
    tail = handle.read()
    end = tail[tail.rfind(_END) :]
    if len(end) >= _END_SIZE and end.startswith(_END):
        (directory_bytes,) = struct.unpack("<L", end[12:16])
        if directory_bytes > MAX_DIRECTORY_BYTES:
            raise ProblemError("zip_too_many", limit=MAX_MEMBERS)
    return handle


def _members(archive: zipfile.ZipFile, limits: Limits) -> list[tuple[zipfile.ZipInfo, str]]:
    """The files to be read, in the order of their names, with the split that the card gives them. Raises ProblemError.

    What a member unpacks to is what the directory says of it, at most: reading stops there.
    """
    files = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    splits = data_splits(files, _card(archive, files))
    chosen = [files[name] for name in splits]
    if not chosen:
        raise ProblemError("zip_no_data", found=sorted(files)[:20])
    if len(chosen) > MAX_MEMBERS:
        raise ProblemError("zip_too_many", limit=MAX_MEMBERS)
    for info in chosen:
        if info.flag_bits & 1:
            raise ProblemError("zip_encrypted", found=info.filename[:NAME_SHOWN])
    unpacked = sum(info.file_size for info in chosen)
    packed = archive.fp.seek(0, io.SEEK_END) if archive.fp else 0
    if unpacked > limits.max_total_bytes:
        raise ProblemError("too_large", limit_bytes=limits.max_total_bytes)
    if unpacked > limits.ratio_free_bytes and unpacked > packed * limits.max_ratio:
        raise ProblemError("expands_too_much", limit_ratio=limits.max_ratio)
    return list(zip(chosen, splits.values(), strict=True))


def _card(archive: zipfile.ZipFile, files: dict[str, zipfile.ZipInfo]) -> tuple[str, str]:
    """Name and text of the README that lies highest; empty where there is none."""
    names = [name for name in files if name.rpartition("/")[2] == "README.md"]
    if not names:
        return "", ""
    name = min(names, key=lambda found: (found.count("/"), found))
    if files[name].flag_bits & 1:
        return "", ""
    with archive.open(files[name]) as stream:
        return name, stream.read(MAX_CARD_BYTES).decode("utf-8", "replace")


def _member_rows(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: Limits, start: Position | None, read: Read
) -> Iterator[Row | ImportProblem]:
    with _opened(archive, info) as (stream, is_packed):
        if is_packed:  # what a gzip file in a zip may unpack to is told by both together
            share = info.compress_size / max(1, info.file_size)
            limits = replace(limits, max_ratio=max(1, int(limits.max_ratio * share)))
        yield from read(stream, limits, start)


@contextmanager
def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[tuple[BinaryIO, bool]]:
    """The member as a file to be read, and whether it is packed once more."""
    with archive.open(info) as stream:
        head = stream.read(8)
        stream.seek(0)
        if not head.startswith(COLUMN_MAGICS):
            yield cast(BinaryIO, stream), head.startswith(GZIP_MAGIC)
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(stream, copy, 1024 * 1024)
            yield cast(BinaryIO, copy), False


def _placed(event: Row | ImportProblem, at: Position, name: str, split: str) -> Row | ImportProblem:
    """The same with its member's name and split, counted through the archive."""
    if isinstance(event, ImportProblem):
        return replace(event, member=name, row=at.before + event.row if event.row else at.rows)
    after = replace(event.after, rows=at.before + event.after.rows, member=at.member, before=at.before)
    return replace(event, number=at.before + event.number, after=after, member=name, split=split)
