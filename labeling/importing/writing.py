"""The write pass: records in batches, each in one transaction with the cursor that says how far it got.

Killed at any point, it goes on behind the last batch that was committed. Run twice, or twice at once, it
makes no second row, because everything is found by content. Memory: two batches, since the next one is read while one
is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field

from django.db import IntegrityError
from django.utils import translation
from django.utils.translation import gettext as _

from labeling.importing.ahead import ahead
from labeling.importing.checking import Progress, checked_records
from labeling.importing.layouts import layout_for
from labeling.importing.options import ImportOptions
from labeling.importing.problems import ImportProblem
from labeling.importing.reader import Position
from labeling.importing.records import STRENGTHS
from labeling.importing.rewrites import rewrites_keep
from labeling.importing.rows import Item, item_of, records_place
from labeling.importing.texts import problem_words
from labeling.importing.uploads import upload_path
from labeling.importing.votes import votes_record
from labeling.models import Import, ImportState
from labeling.services.adjudication import adjudications_bring
from labeling.services.bookmark import bookmarks_void

BATCH_RECORDS = 1000
BATCH_RESPONSES = 4000
BATCH_PAIRS = 6000
BATCH_VOTES = 12_000
BATCH_CHARACTERS = 16 * 1024 * 1024
ATTEMPTS = 5

Guard = Callable[[], AbstractContextManager[None]]


class ImportWriteError(Exception):
    """The file cannot be written as it was checked; says why. Permanent."""

    permanent = True


class CursorMovedError(Exception):
    """Another writer has moved this import on: this one stops. Nothing of its batch is kept."""


@dataclass(frozen=True)
class WriteCounts:
    """New rows. `skipped` are bad rows that were passed over because the manager said so; `adjudicated` are comparisons
    that were settled as a reviewer had done where the file is from.
    """

    prompts: int = 0
    responses: int = 0
    comparisons: int = 0
    preferences: int = 0
    records: int = 0
    skipped: int = 0
    adjudicated: int = 0

    def __add__(self, other: WriteCounts) -> WriteCounts:
        mine, theirs = asdict(self), asdict(other)
        return WriteCounts(**{name: mine[name] + theirs[name] for name in mine})


@dataclass
class Batch:
    """Records of neighbouring rows, and the position behind them."""

    after: Position
    items: list[Item] = field(default_factory=list)
    skipped: int = 0
    responses: int = 0
    pairs: int = 0
    votes: int = 0
    characters: int = 0

    def add(self, item: Item, after: Position) -> None:
        record = item.record
        count = len(record.responses)
        self.after = after
        self.items.append(item)
        self.responses += count
        self.pairs += max(1, count * (count - 1) // 2)
        self.votes += len(record.votes)
        self.characters += sum(len(r.text) for r in record.responses) + len(record.prompt_text)

    @property
    def is_full(self) -> bool:
        return (
            len(self.items) >= BATCH_RECORDS
            or self.responses >= BATCH_RESPONSES
            or self.pairs >= BATCH_PAIRS
            or self.votes >= BATCH_VOTES
            or self.characters >= BATCH_CHARACTERS
        )


def write_file(import_: Import, *, guard: Guard, progress: Progress | None = None) -> WriteCounts:
    """Writes what is not written yet, and returns all counts of the import.

    Raises ImportWriteError when the file has a problem that the options do not allow, CursorMovedError
    when another writer is at work.
    """
    options = ImportOptions.from_json(import_.options)
    counts = WriteCounts(**import_.counts.get("written", {}))
    cursor = import_.cursor
    for batch in ahead(_batches(import_, options)):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with guard():
                    bookmarks_void(import_.project_id)
                    written = counts + _write_batch(import_, batch, options)
                    _move_cursor(import_, cursor, batch, written)
                break
            except IntegrityError:  # another import has made one of the rows meanwhile
                if attempt == ATTEMPTS:
                    raise
        counts, cursor = written, batch.after.rows
        if progress:
            progress(cursor, import_.row_count)
    return counts


def _batches(import_: Import, options: ImportOptions) -> Iterator[Batch]:
    """Batches behind the cursor. With bad lines allowed, the file is read again from its start, because an
    id that was used twice is only known as such by whoever has seen both rows."""
    position = Position(**import_.counts["resume"]) if "resume" in import_.counts else Position()
    reread = options.skip_bad
    with upload_path(import_.path).open("rb") as handle:
        events = checked_records(
            handle,
            options,
            layout=layout_for(import_.layout, import_.mapping),
            start=None if reread else position,
            check_ids=reread,
        )
        batch = Batch(position)
        for event in events:
            number = event.row if isinstance(event, ImportProblem) else event.number
            if isinstance(event, ImportProblem) and (event.fatal or not options.skip_bad):
                raise ImportWriteError(problem_words(event))
            if number <= import_.cursor:
                continue
            if isinstance(event, ImportProblem):
                batch.skipped += 1
                continue
            batch.add(item_of(event.number, event.record, options), event.after)
            if batch.is_full:
                yield batch
                batch = Batch(batch.after)
        if batch.items or batch.skipped:
            yield batch


def _reason(import_: Import) -> str:
    """Why it is settled, in the importing person's language: a worker speaks none."""
    with translation.override(getattr(import_.created_by, "language", "") or None):
        return _("A reviewer had settled it so where “%(file)s” is from.") % {"file": import_.file_name}


def _write_batch(import_: Import, batch: Batch, options: ImportOptions) -> WriteCounts:
    key = f"import:{import_.sha256[:32]}"
    placed = records_place(project=import_.project, items=batch.items, options=options, key=key)
    scale = float(import_.counts.get("margin_scale", STRENGTHS))
    recorded = votes_record(project=import_.project, placed=placed, margin_scale=scale)
    rewrites_keep(project=import_.project, items=batch.items, placed=placed)
    adjudicated = adjudications_bring(
        project_id=import_.project_id,
        settled={placed.comparison_ids[pair]: said for pair, said in placed.adjudicated.items()},
        reviewer_id=import_.created_by_id,
        reason=_reason(import_) if placed.adjudicated else "",
        key=key,
    )
    return WriteCounts(
        prompts=placed.prompts,
        responses=len(placed.new_responses),
        comparisons=len(placed.new_pairs),
        preferences=recorded,
        adjudicated=adjudicated,
        records=len(batch.items),
        skipped=batch.skipped,
    )


def _move_cursor(import_: Import, cursor: int, batch: Batch, counts: WriteCounts) -> None:
    """The cursor moves in the transaction of its rows, and only from where this writer believes it to be."""
    import_.counts |= {"resume": asdict(batch.after), "written": asdict(counts)}
    moved = Import.objects.filter(pk=import_.pk, cursor=cursor, state=ImportState.WRITING).update(
        cursor=batch.after.rows, counts=import_.counts
    )
    if not moved:
        raise CursorMovedError(f"import {import_.uid} is no longer at row {cursor}")
