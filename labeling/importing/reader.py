"""Rows of a JSONL or JSON file (gzipped or not), one by one, with what is wrong between them.

`read_rows` never raises for what is in the file: it yields rows and problems in file order, and a fatal
problem is the last thing it yields. A caller that sees no fatal problem has seen the whole file. Memory:
one line or array element, and one chunk. Reading goes on from any `Position` that an earlier row named.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import orjson

from labeling.importing.json_array import ArraySplitter
from labeling.importing.problems import ImportProblem, ProblemError
from labeling.importing.sources import UTF8_BOM, ByteSource, Limits, refuse_foreign


@dataclass(frozen=True)
class Position:
    """Where reading goes on: decompressed byte offset, line number there, rows already passed; in an archive the
    number of the member from 0, and how many of the rows lie before it.
    """

    offset: int = 0
    line: int = 1
    rows: int = 0
    member: int = 0
    before: int = 0


@dataclass(frozen=True)
class Row:
    """One parsed object and where it stands. `after` is the position behind it, `raw` its own bytes."""

    line: int
    number: int
    data: dict[str, Any]
    after: Position
    column: int = field(default=1, compare=False)  # counted from where reading began, on a resumed line
    raw: bytes = field(default=b"", repr=False)
    member: str = ""
    split: str = ""  # that of its file, by the card beside it
    looks_protected: bool = False  # a cell of a table that does not say so: see labeling/spreadsheets.py

    @property
    def place(self) -> int | str:
        """Its line, behind the name of its file in an archive."""
        return f"{self.member}:{self.line}" if self.member else self.line


@dataclass(frozen=True)
class _Piece:
    """Bytes of one line or element (None: over the cap), its place, and the position behind it."""

    raw: bytes | None
    line: int
    column: int
    offset: int
    next_offset: int
    next_line: int


def read_rows(
    handle: BinaryIO, *, limits: Limits | None = None, start: Position | None = None
) -> Iterator[Row | ImportProblem]:
    """Yields rows and problems in order; see the module's docstring."""
    limits, position = limits or Limits(), start or Position()
    source = ByteSource(handle, limits)
    try:
        is_array, first_offset = _sniff(source)
        pieces = _array_pieces if is_array else _line_pieces
        for piece in pieces(source, position, first_offset, limits):
            position = Position(piece.next_offset, piece.next_line, position.rows + 1)
            yield _parse_piece(piece, position, limits, is_array)
    except ProblemError as error:
        problem = error.problem
        yield problem if problem.line else problem.at(line=position.line)


def _sniff(source: ByteSource) -> tuple[bool, int]:
    """Whether the file is a JSON array, and the offset behind its BOM (and opening bracket, for an array)."""
    head = source.head(4096)
    refuse_foreign(head)
    skip = len(UTF8_BOM) if head.startswith(UTF8_BOM) else 0
    text = head[skip:].lstrip(b" \t\r\n")
    if not text.startswith(b"["):
        return False, skip
    return True, skip


def _line_pieces(source: ByteSource, start: Position, first_offset: int, limits: Limits) -> Iterator[_Piece]:
    """Lines that are not blank. A line over the cap is passed without being kept."""
    offset, line_number = max(start.offset, first_offset), start.line
    pending, dropped = bytearray(), 0
    for chunk in source.chunks(offset):
        begin = 0
        while (end := chunk.find(b"\n", begin)) >= 0:
            size = dropped + len(pending) + end - begin
            too_long = dropped or size > limits.max_line_bytes
            raw = None if too_long else bytes(pending) + chunk[begin:end]
            if raw is None or (not raw.isspace() and raw):
                yield _Piece(raw, line_number, 1, offset, offset + size + 1, line_number + 1)
            offset, line_number, begin = offset + size + 1, line_number + 1, end + 1
            pending.clear()
            dropped = 0
        pending += chunk[begin:]
        if dropped or len(pending) > limits.max_line_bytes:
            dropped += len(pending)
            pending.clear()
    if dropped or pending.strip():
        raw = None if dropped else bytes(pending)
        yield _Piece(raw, line_number, 1, offset, offset + dropped + len(pending), line_number + 1)


def _array_pieces(source: ByteSource, start: Position, first_offset: int, limits: Limits) -> Iterator[_Piece]:
    splitter = ArraySplitter(
        max_element_bytes=limits.max_line_bytes,
        offset=max(start.offset, first_offset),
        line=start.line,
        resumed=start.rows > 0,
    )
    for chunk in source.chunks(splitter.base):
        for element in splitter.feed(chunk):
            yield _Piece(**vars(element))
    splitter.finish()


def _parse_piece(piece: _Piece, after: Position, limits: Limits, is_array: bool) -> Row | ImportProblem:
    """The row of a piece. Broken syntax inside an array is fatal: its elements can no longer be told
    apart.
    """
    if piece.raw is None:
        return ImportProblem(
            piece.line, 0, "line_too_long", {"limit_bytes": limits.max_line_bytes}, row=after.rows
        )
    try:
        value = orjson.loads(piece.raw)
    except orjson.JSONDecodeError as error:
        problem = _syntax_problem(piece, error, limits)
        return replace(problem, fatal=is_array, row=after.rows)
    place: dict[str, Any] = {"line": piece.line, "column": piece.column, "row": after.rows}
    if not isinstance(value, dict):
        return ImportProblem(code="not_an_object", params={"found": type_name(value)}, **place)
    if _may_be_deep(piece.raw, limits.max_depth) and depth_of(value) > limits.max_depth:
        return ImportProblem(code="too_deep", params={"limit": limits.max_depth}, **place)
    if b"\\u0000" in piece.raw and (path := nul_path(value)):
        return ImportProblem(code="nul_character", params={"path": path}, **place)
    return Row(piece.line, after.rows, value, after, piece.column, piece.raw)


def _syntax_problem(piece: _Piece, error: orjson.JSONDecodeError, limits: Limits) -> ImportProblem:
    """Says bytes that are not UTF-8 with their offset in the file, anything else with line and column."""
    raw = piece.raw or b""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as bad:
        line = piece.line + raw.count(b"\n", 0, bad.start)
        before = raw[raw.rfind(b"\n", 0, bad.start) + 1 : bad.start].decode("utf-8", "ignore")
        column = len(before) + (piece.column if line == piece.line else 1)
        params = {"byte": f"0x{raw[bad.start]:02x}", "offset": piece.offset + bad.start}
        return ImportProblem(line, column, "not_utf8", params)
    column = error.colno + (piece.column - 1 if error.lineno == 1 else 0)
    if error.msg == "depth limit exceeded":
        return ImportProblem(piece.line, column, "too_deep", {"limit": limits.max_depth})
    return ImportProblem(piece.line + error.lineno - 1, column, "bad_json", {"reason": error.msg})


def _may_be_deep(raw: bytes, max_depth: int) -> bool:
    return raw.count(b"[") + raw.count(b"{") > max_depth


def depth_of(value: Any) -> int:
    """Levels of nesting of lists and objects; 0 for a plain value. Iterative: hostile input cannot
    recurse.
    """
    deepest, stack = 0, [(value, 1)]
    while stack:
        node, depth = stack.pop()
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else None
        if children is not None:
            deepest = max(deepest, depth)
            stack.extend((child, depth + 1) for child in children)
    return deepest


def nul_path(value: Any) -> str:
    """Key path of the first text that holds a NUL character, which no database text can keep; '' when
    none.
    """
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, str) and "\0" in node:
            return path
        if isinstance(node, list):
            stack.extend((f"{path}[{index}]", child) for index, child in enumerate(node))
        elif isinstance(node, dict):
            for key, child in node.items():
                if "\0" in key:
                    return path or "."
                stack.append((f"{path}.{key}" if path else key, child))
    return ""


def type_name(value: Any) -> str:
    """JSON's own word for a value's type."""
    if value is None:
        return "null"
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]
