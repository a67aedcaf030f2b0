"""CSV and TSV: bytes become records of cells, one by one, in constant memory.

RFC 4180: a cell may be quoted, a quoted cell may hold line breaks, and "" in it is one quote. The delimiter is
found by trial on the first 64 kB. A tab-separated file may also be one that quotes nothing. A quote that is
never closed is fatal, because everything behind it would be one cell.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from labeling.importing.cells import cell_value
from labeling.importing.problems import ImportProblem, ProblemError
from labeling.importing.reader import Position, Row, depth_of, nul_path
from labeling.importing.sources import UTF8_BOM, ByteSource, Limits
from labeling.spreadsheets import is_marked, unprotected

TRIAL_BYTES = 64 * 1024
# Delimiter, and whether cells may be quoted; the earlier wins where several fit equally well.
CANDIDATES = ((b",", True), (b";", True), (b"\t", True), (b"\t", False))
_NAME = re.compile(r"\w[\w .()/#?-]{0,79}|")


@dataclass(frozen=True)
class Dialect:
    """How a file separates its cells, its columns' names, and where its first row begins. A column without a
    name, as some programs write for the row's number, is passed over. `is_protected`: see labeling/spreadsheets.py.
    """

    delimiter: bytes
    is_quoted: bool
    names: tuple[str, ...]
    size: int
    lines: int
    is_protected: bool


@dataclass
class _Cells:
    """The cells of one record, built from its lines. `quoted` is the open quoted cell, if there is one; a
    record over the cap is followed to its end, but not kept.
    """

    dialect: tuple[bytes, bool]
    max_bytes: int
    cells: list[bytes] = field(default_factory=list)
    quoted: bytearray | None = None
    size: int = 0
    is_strict: bool = True  # nothing stood behind a closing quote

    @property
    def is_long(self) -> bool:
        return self.size > self.max_bytes

    def feed(self, line: bytes) -> bool:
        """Adds a line with its line break; True when the record ends there."""
        delimiter, is_quoted = self.dialect
        self.size += len(line)
        at = 0
        while True:
            if self.quoted is None:
                if not (is_quoted and line[at : at + 1] == b'"'):
                    end = line.find(delimiter, at)
                    self._add(line[at:].rstrip(b"\r\n") if end < 0 else line[at:end])
                    if end < 0:
                        return True
                    at = end + 1
                    continue
                self.quoted, at = bytearray(), at + 1
            end = line.find(b'"', at)
            self.quoted += line[at:] if end < 0 else line[at:end]
            if self.is_long:
                self.quoted.clear()
            if end < 0:
                return False
            at = end + 1
            if line[at : at + 1] == b'"':
                self.quoted += b'"'
                at += 1
                continue
            end = line.find(delimiter, at)
            behind = line[at:].rstrip(b"\r\n") if end < 0 else line[at:end]
            self.is_strict &= not behind
            self._add(bytes(self.quoted) + behind)
            self.quoted = None
            if end < 0:
                return True
            at = end + 1

    def _add(self, cell: bytes) -> None:
        if not self.is_long:
            self.cells.append(cell)


def find_dialect(head: bytes) -> Dialect | None:
    """The dialect of a file that begins like this (its first 64 kB); None where it is no table."""
    skip = len(UTF8_BOM) if head.startswith(UTF8_BOM) else 0
    if head[skip:].lstrip()[:1] in (b"", b"{", b"["):
        return None
    *whole, rest = head[skip:].split(b"\n")
    lines = [line + b"\n" for line in whole] + ([rest] if rest and len(head) < TRIAL_BYTES else [])
    tried = [_trial(lines, candidate, skip) for candidate in CANDIDATES]
    found = [one for one in tried if one is not None]
    return max(found, key=lambda one: one[0])[1] if found else None


def _trial(lines: list[bytes], candidate: tuple[bytes, bool], skip: int) -> tuple[float, Dialect] | None:
    """The share of the lines that belong to records as wide as the header, and the dialect; None where the
    first record does not look like a header of two columns or more.
    """
    record, dialect, held, fitting = _Cells(candidate, TRIAL_BYTES), None, 0, 0
    for number, line in enumerate(lines, start=1):
        held += 1
        if not line.strip() and record.quoted is None:
            continue
        if not record.feed(line):
            continue
        if dialect is None:
            names = _names(record.cells)
            if names is None:
                return None
            size, mark = sum(map(len, lines[:number])), is_marked(line, candidate[0])
            dialect = Dialect(*candidate, names, skip + size, number, mark)
        fitting += held * (record.is_strict and len(record.cells) == len(dialect.names))
        record, held = _Cells(candidate, TRIAL_BYTES), 0
    return (fitting / len(lines), dialect) if dialect else None


def _names(cells: list[bytes]) -> tuple[str, ...] | None:
    try:
        names = tuple(cell.decode().strip() for cell in cells)
    except UnicodeDecodeError:
        return None
    return names if len(list(filter(None, names))) >= 2 and all(map(_NAME.fullmatch, names)) else None


@dataclass(frozen=True)
class _Record:
    """One record: its own bytes and cells (both None: over the cap), its place, and the position behind it."""

    raw: bytes | None
    cells: list[bytes] | None
    line: int
    offset: int
    next_line: int
    next_offset: int


def csv_rows(
    source: ByteSource, dialect: Dialect, limits: Limits, start: Position | None = None
) -> Iterator[Row | ImportProblem]:
    """Rows and problems in order, as `read_rows` gives them; a fatal problem comes last."""
    position = start if start and start.offset >= dialect.size else Position(dialect.size, 1 + dialect.lines)
    try:
        _check_names(dialect.names)
        for record in _records(source, position, dialect, limits):
            position = Position(record.next_offset, record.next_line, position.rows + 1)
            yield _row(record, position, dialect, limits)
    except ProblemError as error:
        problem = error.problem
        yield problem if problem.line else problem.at(line=position.line)


def _check_names(names: tuple[str, ...]) -> None:
    twice = next((name for index, name in enumerate(names) if name and name in names[:index]), None)
    if twice is not None:
        raise ProblemError("column_twice", line=1, fatal=True, found=twice)


def _records(source: ByteSource, start: Position, dialect: Dialect, limits: Limits) -> Iterator[_Record]:
    offset, line = begin, begin_line = start.offset, start.line
    cells, raw = _Cells((dialect.delimiter, dialect.is_quoted), limits.max_line_bytes), bytearray()
    for text, size in _lines(source, start.offset, limits.max_line_bytes):
        offset, line = offset + size, line + 1
        if text is not None and not text.strip() and cells.quoted is None:
            begin, begin_line = offset, line
            continue
        ends = text is None or cells.feed(text)  # a line over the cap ends its record: nothing of it was kept
        is_long = text is None or cells.is_long
        if is_long:
            raw.clear()
        else:
            raw += text or b""
        if not ends:
            continue
        found = None if is_long else bytes(raw)
        yield _Record(found, None if is_long else cells.cells, begin_line, begin, line, offset)
        cells, raw = _Cells((dialect.delimiter, dialect.is_quoted), limits.max_line_bytes), bytearray()
        begin, begin_line = offset, line
    if cells.quoted is not None:
        raise ProblemError("quote_open", line=begin_line, fatal=True)


def _lines(source: ByteSource, offset: int, max_bytes: int) -> Iterator[tuple[bytes | None, int]]:
    """Lines with their line breaks (None: over the cap) and their sizes in bytes."""
    pending, dropped = bytearray(), 0
    for chunk in source.chunks(offset):
        begin = 0
        while (end := chunk.find(b"\n", begin) + 1) > 0:
            size = dropped + len(pending) + end - begin
            is_long = dropped or size > max_bytes
            yield None if is_long else bytes(pending) + chunk[begin:end], size
            pending.clear()
            dropped, begin = 0, end
        pending += chunk[begin:]
        if dropped or len(pending) > max_bytes:
            dropped += len(pending)
            pending.clear()
    if dropped or pending:
        yield None if dropped else bytes(pending), dropped + len(pending)


def _row(record: _Record, after: Position, dialect: Dialect, limits: Limits) -> Row | ImportProblem:
    if record.raw is None or record.cells is None:
        params = {"limit_bytes": limits.max_line_bytes}
        return ImportProblem(record.line, 0, "line_too_long", params, row=after.rows)
    if len(record.cells) != len(dialect.names):
        params = {"found": len(record.cells), "expected": len(dialect.names)}
        return ImportProblem(record.line, 0, "cell_count", params, row=after.rows)
    try:
        cells = [cell.decode() for cell in record.cells]
    except UnicodeDecodeError:
        return replace(_not_utf8(record.raw, record.line, record.offset), row=after.rows)
    bare = [unprotected(cell) for cell in cells]
    looks_protected = not dialect.is_protected and bare != cells
    if dialect.is_protected:
        cells = bare
    texts = {name: cell for name, cell in zip(dialect.names, cells, strict=True) if name}
    place: dict[str, Any] = {"line": record.line, "column": 1, "row": after.rows}
    if b"\0" in record.raw:
        name = next((name for name, text in texts.items() if "\0" in text), "")
        return ImportProblem(code="nul_character", params={"path": name}, **place)
    data = {name: cell_value(name, text, texts) for name, text in texts.items()}
    if depth_of(data) > limits.max_depth:
        return ImportProblem(code="too_deep", params={"limit": limits.max_depth}, **place)
    if b"\\u0000" in record.raw and (path := nul_path(data)):
        return ImportProblem(code="nul_character", params={"path": path}, **place)
    return Row(record.line, after.rows, data, after, looks_protected=looks_protected)


def _not_utf8(raw: bytes, line: int, offset: int) -> ImportProblem:
    """The first byte that is not UTF-8, by line and column."""
    try:
        raw.decode()
    except UnicodeDecodeError as bad:
        before = raw[raw.rfind(b"\n", 0, bad.start) + 1 : bad.start].decode("utf-8", "ignore")
        params = {"byte": f"0x{raw[bad.start]:02x}", "offset": offset + bad.start}
        return ImportProblem(line + raw.count(b"\n", 0, bad.start), len(before) + 1, "not_utf8", params)
    raise ValueError("these bytes are UTF-8")
