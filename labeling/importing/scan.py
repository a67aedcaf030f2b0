"""A file as records and problems: reader, layout and identities together. Pure; what services and commands
call.

`scan` finds the layout from the first rows, then yields a record or a problem for each row, in order.
Memory does not grow with the file: ids that were seen lie in a temporary SQLite file.
"""

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from labeling.importing.containers import read_rows
from labeling.importing.layout import Layout
from labeling.importing.layout_kto import join, joins
from labeling.importing.layouts import (
    DETECTION_ROWS,
    detect_layout,
    layout_of,
    parse_row,
    wrong_keys,
)
from labeling.importing.places import place_of
from labeling.importing.problems import ImportProblem, ProblemError
from labeling.importing.reader import Position, Row
from labeling.importing.records import HELD_OUT, Record
from labeling.importing.sources import Limits

# Bytes of parsed rows held while the layout is being found.
DETECTION_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class ScannedRecord:
    """A record and its row, whose `after` is where a scan can go on."""

    record: Record
    layout: str
    row: Row

    @property
    def number(self) -> int:
        return self.row.number

    @property
    def after(self) -> Position:
        return self.row.after


class SeenIds:
    """Which ids a file has used, and for what content. On disk, so that memory stays constant."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chosen-import-")
        self._db = sqlite3.connect(
            Path(self._folder.name) / "seen.sqlite3", isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA cache_size = -8000")
        self._db.execute(
            "CREATE TABLE seen (id BLOB PRIMARY KEY, content BLOB NOT NULL, place NOT NULL) WITHOUT ROWID"
        )
        self._db.execute("BEGIN")

    def __enter__(self) -> "SeenIds":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._folder.cleanup()

    def clash(self, external_id: str, content: bytes, place: int | str) -> int | str | None:
        """Remembers the id; the place that used it before for other content, or None."""
        key = hashlib.blake2b(external_id.encode(), digest_size=16).digest()
        done = self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (key, content, place))
        if done.rowcount:
            return None
        earlier = self._db.execute("SELECT content, place FROM seen WHERE id = ?", (key,)).fetchone()
        known, where = earlier
        return None if known == content else where


def row_digest(data: dict[str, Any]) -> bytes:
    """16 bytes that are equal for rows of equal content, whatever the order of their keys."""
    return hashlib.blake2b(orjson.dumps(data, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def scan(
    handle: BinaryIO,
    *,
    limits: Limits | None = None,
    layout: Layout | None = None,
    start: Position | None = None,
    check_ids: bool = True,
) -> Iterator[ScannedRecord | ImportProblem]:
    """Yields what each row means, or what is wrong with it; a fatal problem comes last.

    Where none of the first rows has a layout, the first row that has one tells it. `layout` fixes it instead of
    finding it. `start` goes on from an earlier record's `after`; give the layout and leave ids unchecked then.
    A file without rows yields the problem "empty_file".
    """
    events = read_rows(handle, limits=limits, start=start)
    head = _take_head(events)
    rows = [event for event in head if isinstance(event, Row)]
    if not head and start is None:
        yield ImportProblem(1, 0, "empty_file", fatal=True)
        return
    layout = layout or detect_layout(row.data for row in rows)
    first_place = next((row.place for row in rows if layout and layout.matches(row.data)), 1)
    with SeenIds() as seen:
        yield from _joined(_meanings(chain(head, events), layout, first_place, seen if check_ids else None))


def _meanings(
    events: Iterable[Row | ImportProblem], layout: Layout | None, first_place: int | str, seen: SeenIds | None
) -> Iterator[ScannedRecord | ImportProblem]:
    for event in events:
        if layout is None and isinstance(event, Row):
            # none of the first rows had one: the first that has
            layout, first_place = layout_of(event.data), event.place
        yield _meaning(event, layout, first_place, seen)


def _joined(events: Iterable[ScannedRecord | ImportProblem]) -> Iterator[ScannedRecord | ImportProblem]:
    """Neighbours that are one record become one, which goes on behind the last of its rows."""
    held: list[ScannedRecord] = []
    for event in events:
        marked = event if isinstance(event, ScannedRecord) and event.record.is_marked else None
        if held and not (marked and joins([one.record for one in held], marked.record)):
            yield _one(held)
            held = []
        if marked:
            held.append(marked)
        else:
            yield event
    if held:
        yield _one(held)


def _one(held: list[ScannedRecord]) -> ScannedRecord:
    return replace(held[-1], record=join([one.record for one in held])) if len(held) > 1 else held[0]


def _take_head(events: Iterable[Row | ImportProblem]) -> list[Row | ImportProblem]:
    """The first rows, enough to find the layout, bounded in number and in bytes."""
    head: list[Row | ImportProblem] = []
    first_offset = None
    for event in events:
        head.append(event)
        if isinstance(event, Row):
            first_offset = event.after.offset if first_offset is None else first_offset
            if event.after.offset - first_offset > DETECTION_BYTES:
                break
        if len(head) >= DETECTION_ROWS:
            break
    return head


def _meaning(
    event: Row | ImportProblem, layout: Layout | None, first_place: int | str, seen: SeenIds | None
) -> ScannedRecord | ImportProblem:
    if isinstance(event, ImportProblem):
        return event
    try:
        if layout is None:
            raise wrong_keys(event.data)
        record = parse_row(layout, event.data, event.line, first_place)
        if event.split == HELD_OUT:
            record = replace(record, metadata={"split": HELD_OUT} | record.metadata)
        if seen and record.external_id:
            earlier = seen.clash(record.external_id, row_digest(event.data), event.place)
            if earlier is not None:
                raise ProblemError("id_reused", id=record.external_id, first_line=earlier)
    except ProblemError as error:
        return placed(error.problem, event)
    return ScannedRecord(record, layout.name, event)


def placed(problem: ImportProblem, row: Row) -> ImportProblem:
    """A problem of a row's content, at the key that it names."""
    line, column = place_of(row, str(problem.params.get("path", "")))
    return replace(problem, line=line, column=column, row=row.number, member=row.member)
