"""The check pass: reads the whole file, writes nothing, and reports what an import of it would do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from labeling.importing.containers import member_names
from labeling.importing.layout import Layout
from labeling.importing.options import ImportOptions, record_group
from labeling.importing.problems import ImportProblem, ProblemError, ProblemGroup
from labeling.importing.reader import Position
from labeling.importing.records import Record, margin_scale, record_pairs
from labeling.importing.sample import sample_rows
from labeling.importing.scan import ScannedRecord, placed, scan
from labeling.importing.sources import Limits

MAX_PROBLEMS = 200
MAX_PREVIEW = 20
PREVIEW_CHARACTERS = 1500
PREVIEW_RESPONSES = 6
MAX_KEYS = 40
MAX_PASSED_OVER = 20
PROGRESS_ROWS = 500

Progress = Callable[[int, int], None]


@dataclass
class CheckReport:
    """What was found. `problems` holds the first 200 that read differently; `problem_count` counts all.
    `unpaired` are responses of records that make no comparison, `held_out` records that are kept out of training,
    `adjudicated` those that a reviewer settled where the file is from, `settled_anew` those that something else than
    their votes did there.
    `protected` are records of a table whose texts look like those of our CSV export, while its header does not say so.
    `members` are the files of an archive that were read, `passed_over` the first of those that were not. `sample` are
    the first rows as they stand in the file, cut.
    """

    layout: str = ""
    rows: int = 0
    records: int = 0
    pairs: int = 0
    responses: int = 0
    unpaired: int = 0
    votes: int = 0
    gold: int = 0
    held_out: int = 0
    protected: int = 0
    adjudicated: int = 0
    settled_anew: int = 0
    largest_margin: float = 0.0
    has_fractions: bool = False
    problem_count: int = 0
    is_fatal: bool = False
    preview: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    sample: list[dict[str, Any]] = field(default_factory=list)
    groups: dict[tuple[str, bytes], ProblemGroup] = field(default_factory=dict)

    @property
    def problems(self) -> list[ProblemGroup]:
        return list(self.groups.values())

    @property
    def is_usable(self) -> bool:
        """Whether something could be imported if bad lines were skipped."""
        return self.records > 0 and not self.is_fatal

    @property
    def margin_scale(self) -> float:
        return margin_scale(self.largest_margin, self.has_fractions)

    def counts(self) -> dict[str, Any]:
        """The figures that are stored with the import."""
        names = (
            "records",
            "passed_over",
            "pairs",
            "responses",
            "unpaired",
            "votes",
            "gold",
            "held_out",
            "protected",
            "adjudicated",
            "settled_anew",
            "margin_scale",
            "keys",
        )
        return {name: getattr(self, name) for name in (*names, "is_fatal")}

    def add_problem(self, problem: ImportProblem) -> None:
        self.problem_count += 1
        self.is_fatal |= problem.fatal
        self.rows = max(self.rows, problem.row)
        key = problem.sentence_key
        if key in self.groups or len(self.groups) < MAX_PROBLEMS:
            self.groups.setdefault(key, ProblemGroup(problem)).add(problem)

    def add_record(self, found: ScannedRecord, options: ImportOptions) -> None:
        record = found.record
        pairs = record_pairs(record, options.pairs)
        self.layout = found.layout
        self.rows = found.number
        self.records += 1
        self.pairs += len(pairs)
        self.responses += len(record.responses)
        self.unpaired += 0 if pairs else len(record.responses)
        wanted = set(pairs)
        self.votes += sum((vote.first, vote.second) in wanted for vote in record.votes)
        self.gold += record.gold is not None
        self.held_out += bool(options.split) or record.is_held_out
        self.protected += found.row.looks_protected
        self.adjudicated += record.is_adjudicated
        self.settled_anew += record.settled is not None and not record.is_adjudicated
        margins = [vote.margin for vote in record.votes if vote.margin is not None]
        self.largest_margin = max([self.largest_margin, *margins])
        self.has_fractions |= not all(margin.is_integer() for margin in margins)
        if len(self.keys) < MAX_KEYS:
            self.keys += [key for key in group_keys(record) if key not in self.keys]
        if len(self.preview) < MAX_PREVIEW:
            preview = record_preview(record, len(pairs), record_group(record, options))
            self.preview.append(preview | {"member": found.row.member})


def checked_records(
    handle: BinaryIO,
    options: ImportOptions,
    *,
    limits: Limits | None = None,
    layout: Layout | None = None,
    start: Position | None = None,
    check_ids: bool = True,
) -> Iterator[ScannedRecord | ImportProblem]:
    """The scan, with what the options ask of each record. Both passes read through it, so they agree."""
    events = scan(handle, limits=limits, layout=layout, start=start, check_ids=check_ids)
    for event in events:
        if isinstance(event, ScannedRecord):
            try:
                record_group(event.record, options)
            except ProblemError as error:
                yield placed(error.problem, event.row)
                continue
        yield event


def check_file(
    handle: BinaryIO,
    options: ImportOptions,
    *,
    layout: Layout | None = None,
    size_bytes: int = 0,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> CheckReport:
    """Reads the whole file. `progress` is called with bytes read and bytes in all, now and then."""
    members, spare = member_names(handle)
    report = CheckReport(members=members, passed_over=spare[:MAX_PASSED_OVER])
    report.sample = sample_rows(handle)
    events = checked_records(handle, options, limits=limits, layout=layout)
    for number, event in enumerate(events, start=1):
        if isinstance(event, ImportProblem):
            report.add_problem(event)
        else:
            report.add_record(event, options)
        if progress and number % PROGRESS_ROWS == 0:
            progress(handle.tell(), size_bytes)
    return report


def group_keys(record: Record) -> list[str]:
    """Keys of the row that could hold a split group: short facts, not texts or lists."""
    known = ("group", "topic", "language")
    own = [key for key in known if getattr(record, key)]
    return own + [
        key
        for key, value in record.metadata.items()
        if isinstance(value, str | int) and len(str(value)) <= 200
    ]


def record_preview(record: Record, pairs: int, group: str) -> dict[str, Any]:
    """What the preview shows of a record: long texts are cut, and say so."""
    return {
        "line": record.line,
        "messages": [{"role": m.role, **_cut(m.content)} for m in record.messages[-3:]],
        "earlier_messages": max(0, len(record.messages) - 3),
        "responses": [
            {"model": r.model, "desirable": r.desirable, **_cut(r.text)}
            for r in record.responses[:PREVIEW_RESPONSES]
        ],
        "more_responses": max(0, len(record.responses) - PREVIEW_RESPONSES),
        "votes": [
            {"first": v.first, "second": v.second, "outcome": v.outcome, "labeler": v.labeler or ""}
            for v in record.votes[:12]
        ],
        "vote_count": len(record.votes),
        "ranked": record.ranked,
        "gold": record.gold.outcome if record.gold else "",
        "adjudicated": record.settled.outcome if record.settled and record.is_adjudicated else "",
        "pairs": pairs,
        "group": group,
        "language": record.language,
        "topic": record.topic,
    }


def _cut(text: str) -> dict[str, Any]:
    return {"text": text[:PREVIEW_CHARACTERS], "is_cut": len(text) > PREVIEW_CHARACTERS}
