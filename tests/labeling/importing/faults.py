"""What can be wrong with a file: the table of faults, each for any layout in any container."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labeling.importing.sources import Limits
from tests.labeling.importing.helpers import FAMILIES
from tests.labeling.importing.wrappings import FORMS, Container, plain_rows

# So that a row over the limit need not be large.
SMALL = Limits(max_line_bytes=50_000)
MARK = "@@@@"
LATIN_1 = "éàüß".encode("latin-1")


@dataclass(frozen=True)
class Bad:
    """What a fault makes of a layout in a container: the members' bytes, and what the first problem must say. `row` is
    counted from 1 within its member; None: wherever the cut falls."""

    files: list[bytes]
    codes: tuple[str, ...]
    row: int | None
    member: int = 0
    is_whole: bool = False  # the file as a whole is at fault, so that no member is named
    is_wrapped: bool = False  # the only file's bytes are those of the container already

    def bytes_in(self, container: Container) -> bytes:
        return self.files[0] if self.is_wrapped else container.wrap(self.files)


def wrong_keys(layout: str, container: Container) -> Bad:
    _make, key = FAMILIES[layout]
    rows = [
        {(f"my_{key}" if name == key else name): value for name, value in row.items()}
        for row in plain_rows(layout, 4)
    ]
    return Bad([container.form.write(rows)], ("wrong_keys",), 1)


def one_bad_row(layout: str, container: Container, count: int = 12) -> Bad:
    """In text a broken row; in columns, which have no broken rows, one without its value."""
    rows, place = plain_rows(layout, count), count - count // 3
    if not container.form.is_text:
        rows[place - 1][FAMILIES[layout][1]] = None
        return Bad([container.form.write(rows)], ("wrong_type", "wrong_keys"), place)
    is_table = container.form.ending in ("csv", "tsv")
    rows[place - 1]["more"] = MARK
    data = container.form.write(rows)
    if is_table:
        delimiter = b"," if container.form.ending == "csv" else b"\t"
        return Bad([data.replace(MARK.encode(), b"x" + delimiter + b"y")], ("cell_count",), place)
    return Bad([data.replace(f'"{MARK}"'.encode(), MARK.encode())], ("bad_json",), place)


def long_row(layout: str, container: Container) -> Bad:
    rows = [row | {"more": ""} for row in plain_rows(layout, 4)]
    rows[2]["more"] = "x" * (SMALL.max_line_bytes + 1)
    return Bad([container.form.write(rows)], ("line_too_long",), 3)


def latin_1(layout: str, container: Container) -> Bad:
    rows = [row | {"place": "Paris"} for row in plain_rows(layout, 3)]
    rows[1]["place"] = MARK
    return Bad([container.form.write(rows).replace(MARK.encode(), LATIN_1)], ("not_utf8", "cell_not_utf8"), 2)


def empty(layout: str, container: Container) -> Bad:
    """Nothing at all in JSON Lines; in the other forms what they are without any row."""
    row = plain_rows(layout, 1)
    written = container.form.write(row)
    forms = {
        "jsonl": lambda: b"",
        "json": lambda: b"[]",
        "csv": lambda: written.splitlines(keepends=True)[0],
        "tsv": lambda: written.splitlines(keepends=True)[0],
        "parquet": lambda: FORMS["parquet"].without_rows(row),
        "arrow": lambda: FORMS["arrow"].without_rows(row),
    }
    return Bad([forms[container.form.ending]()], ("empty_file",), None, is_whole=True)


def mixed_layouts(layout: str, container: Container) -> Bad | None:
    """Rows of another layout further down; in tables and columns, whose rows are all alike, a second file of them."""
    other = plain_rows("votes" if layout != "votes" else "responses", 2)
    if container.members:
        files = [container.form.write(rows) for rows in (plain_rows(layout, 3), other)]
        return Bad(files, ("mixed_layouts",), 1, member=1)
    if container.form.ending not in ("jsonl", "json"):
        return None
    return Bad([container.form.write([*plain_rows(layout, 3), *other])], ("mixed_layouts",), 4)


def duplicate_ids(layout: str, container: Container) -> Bad:
    rows = [row | {"id": f"n{number}"} for number, row in enumerate(plain_rows(layout, 5))]
    rows[4]["id"] = "n1"
    if container.members:
        files = [container.form.write(part) for part in (rows[:3], rows[3:])]
        return Bad(files, ("id_reused",), 2, member=1)
    return Bad([container.form.write(rows)], ("id_reused",), 5)


def truncated(layout: str, container: Container) -> Bad:
    """The outermost wrapping is cut."""
    rows = plain_rows(layout, 9)
    if container.members:
        data = container.wrap([container.form.write(rows)])[:-40]
        return Bad([data], ("zip_damaged",), None, is_whole=True, is_wrapped=True)
    if container.is_gzip:
        return Bad(
            [container.wrap([container.form.write(rows)])[:-9]],
            ("gzip_truncated",), None, is_wrapped=True,
        )  # fmt: skip
    return cut_inside(layout, container)


def cut_inside(layout: str, container: Container) -> Bad:
    """The file is cut, and wrapped as if it were whole: in text within the last row, before its last value but one."""
    data = container.form.write(plain_rows(layout, 9))
    codes = {
        "jsonl": ("bad_json",),
        "json": ("array_truncated",),
        "csv": ("cell_count", "quote_open"),
        "tsv": ("cell_count", "quote_open"),
        "parquet": ("parquet_damaged",),
        "arrow": ("arrow_damaged",),
    }
    if not container.form.is_text:
        return Bad([data[:-30]], codes[container.form.ending], None)
    begin = data.rstrip(b"]\r\n").rindex(b"\n") + 1
    return Bad([data[: begin + 3]], codes[container.form.ending], 9)


FAULTS: dict[str, Callable[[str, Container], Bad | None]] = {
    "wrong keys": wrong_keys,
    "one bad row": one_bad_row,
    "a row over the limit": long_row,
    "Latin-1": latin_1,
    "empty": empty,
    "mixed layouts": mixed_layouts,
    "duplicate ids": duplicate_ids,
    "truncated": truncated,
    "cut and wrapped": cut_inside,
}
