"""Every kind of bad file, in every layout and every container: an error that names file and line and says what to do.

`FAULTS` is the table of faults, `FAMILIES` that of layouts, `CONTAINERS` that of forms and wrappings: a new entry of
any is tested with all entries of the others.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator

import pytest

from labeling.importing.checking import CheckReport, check_file
from labeling.importing.layouts import LAYOUTS
from labeling.importing.options import ImportOptions
from labeling.importing.problems import ImportProblem
from labeling.importing.sources import UTF8_BOM, Limits
from labeling.importing.texts import MESSAGES
from tests.labeling.importing.faults import FAULTS, MARK, SMALL, Bad, one_bad_row
from tests.labeling.importing.helpers import FAMILIES
from tests.labeling.importing.wrappings import CONTAINERS, FORMS, Container, Form, plain_rows


def checked(data: bytes | io.RawIOBase, limits: Limits = SMALL) -> CheckReport:
    handle = io.BytesIO(data) if isinstance(data, bytes) else data
    return check_file(handle, ImportOptions(), limits=limits)  # type: ignore[arg-type]


def complaints(bad: Bad, container: Container, report: CheckReport) -> Iterator[str]:
    """What is not as it should be with what the check says of a bad file."""
    if not report.problems:
        yield "no problem was found"
        return
    problem = report.problems[0].first
    if problem.code not in bad.codes:
        yield f"says {problem.code}, not {' or '.join(bad.codes)}"
    member = container.members[bad.member] if container.members and not bad.is_whole else ""
    if problem.member != member:
        yield f"names the file {problem.member!r}, not {member!r}"
    line = None if bad.row is None else bad.row + container.form.first_line - 1
    if problem.line < 1 or line not in (None, problem.line):
        yield f"names line {problem.line}, not {line}"
    if not problem.message or not problem.hint or "%(" in problem.message + problem.hint:
        yield f"reads {problem.message!r}, {problem.hint!r}"


@pytest.mark.parametrize("layout", FAMILIES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_told_by_file_and_line_in_every_container(layout, fault):
    found = {}
    for name, container in CONTAINERS.items():
        bad = FAULTS[fault](layout, container)
        if bad is not None:
            report = checked(bad.bytes_in(container))
            found[name] = list(complaints(bad, container, report))
    assert {name: said for name, said in found.items() if said} == {}


def test_every_layout_is_tested():
    assert set(FAMILIES) == {layout.name for layout in LAYOUTS}


@pytest.mark.parametrize("layout", FAMILIES)
def test_one_bad_line_in_10_000_is_found(layout):
    bad = one_bad_row(layout, CONTAINERS["jsonl"], 10_000)
    report = checked(bad.files[0])
    assert list(complaints(bad, CONTAINERS["jsonl"], report)) == []
    assert (bad.row, report.problem_count) == (6_667, 1)


@pytest.mark.parametrize("layout", FAMILIES)
def test_a_byte_order_mark_is_no_problem(layout):
    rows = plain_rows(layout, 4)
    expected = checked(CONTAINERS["jsonl"].form.write(rows))
    for name, container in CONTAINERS.items():
        if container.form.is_text:
            report = checked(container.wrap([UTF8_BOM + container.form.write(rows)]))
            counts = (report.problem_count, report.records, report.layout)
            assert counts == (0, expected.records, layout), name


class LongRow(io.RawIOBase):
    """A file of a row, a row of 100 MB, and a row; the long one is made while it is read."""

    PIECE = b"word " * 20_000

    def __init__(self, head: bytes, tail: bytes) -> None:
        self.parts, self.size = (head, tail), len(head) + 1000 * len(self.PIECE) + len(tail)
        self.at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.size)[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def read(self, size: int = -1) -> bytes:
        (head, tail), at = self.parts, self.at
        end = self.size if size < 0 else min(self.size, at + size)
        begin, filled = at - len(head), self.size - len(head) - len(tail)
        found = head[at:end]
        if end > len(head) and begin < filled:
            turn = max(0, begin) % len(self.PIECE)
            wanted = min(end - len(head), filled) - max(0, begin)
            found += (self.PIECE * (2 + wanted // len(self.PIECE)))[turn : turn + wanted]
        found += tail[max(0, begin - filled) : max(0, end - len(head) - filled)]
        self.at = end
        return found


def split_at_mark(form: Form, layout: str) -> tuple[bytes, bytes]:
    rows = plain_rows(layout, 3)
    rows[1]["more"] = MARK
    head, tail = form.write(rows).split(MARK.encode())
    return head, tail


@pytest.mark.parametrize(
    ("form", "layout"),
    [
        *(("jsonl", layout) for layout in FAMILIES),
        *((form, "trl_explicit") for form in ("array", "csv", "tsv")),
    ],
)
def test_a_line_of_100_mb_is_passed_without_being_held(form, layout):
    """Every layout in JSON Lines; one in each other form, which passes such a line before any layout is looked at."""
    report = checked(LongRow(*split_at_mark(FORMS[form], layout)), Limits())
    [group] = report.problems
    assert (group.first.code, group.first.line) == ("line_too_long", FORMS[form].first_line + 1)
    assert group.first.hint


@pytest.mark.parametrize("wrap", ["gz", "zip"])
def test_a_packed_line_of_100_mb_is_named(wrap):
    head, tail = split_at_mark(FORMS["jsonl"], "trl_explicit")
    sink = io.BytesIO()
    if wrap == "gz":
        with gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=0) as file:
            file.writelines([head, *[LongRow.PIECE] * 1000, tail])
    else:
        with zipfile.ZipFile(sink, "w") as archive, archive.open("a.jsonl", "w") as member:
            member.writelines([head, *[LongRow.PIECE] * 1000, tail])
    [group] = check_file(sink, ImportOptions()).problems
    name = "a.jsonl" if wrap == "zip" else ""
    assert (group.first.code, group.first.line, group.first.member) == ("line_too_long", 2, name)


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_a_cell_of_100_mb_is_named(form):
    rows = [row | {"more": ""} for row in plain_rows("trl_explicit", 3)]
    rows[1]["more"] = "word " * 20_000_000
    [group] = checked(FORMS[form].write(rows), Limits()).problems
    assert (group.first.code, group.first.line) == ("line_too_long", 2)


def test_every_sentence_has_a_way_out():
    assert [code for code in MESSAGES if not ImportProblem(1, 0, code).hint] == []
