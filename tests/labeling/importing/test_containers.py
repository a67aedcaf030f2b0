"""Tables and Parquet: the same rows as in JSON, the same records, and problems with a place."""

import io
import tracemalloc
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.importing.containers import read_rows
from labeling.importing.problems import ImportProblem
from labeling.importing.reader import Row
from labeling.importing.services import import_run
from labeling.importing.sources import Limits
from labeling.models import Comparison, ImportState, Preference, Prompt
from tests.labeling.importing.helpers import FAMILIES, explicit_row, gz, jsonl, rows_of, scan_bytes
from tests.labeling.importing.wrappings import parquet, plain_rows, table

BOM = b"\xef\xbb\xbf"


def read(data, **options):
    return list(read_rows(io.BytesIO(data), **options))


class Dribble(io.BytesIO):
    """A file that gives few bytes at a time, so that every boundary falls inside something."""

    def read(self, size=-1):
        return super().read(min(size, 5) if size > 0 else size)


cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)
tables = st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=6)


def is_kept(row):
    """A line without any text is no row."""
    return any(text.strip() for text in row)


@given(
    tables, st.sampled_from(",;\t"), st.sampled_from(["\r\n", "\n"]), st.booleans(), st.booleans(), st.data()
)
@settings(max_examples=120, deadline=None)
def test_cells_read_back_equal_and_reading_goes_on_from_any_row(values, delimiter, ending, bom, packed, draw):
    values = [("a" + first, *rest) for first, *rest in values]
    values = [row for row in values if is_kept(row)]
    rows = [dict(zip(("id", "left text", "right"), row, strict=True)) for row in values]
    data = table([{"id": "start", "left text": "l", "right": "r"}, *rows], delimiter, lineterminator=ending)
    data = BOM + data if bom else data
    data = gz(data) if packed else data
    for handle in (io.BytesIO(data), Dribble(data)):
        events = list(read_rows(handle))
        assert [event.data for event in events][1:] == rows
        assert [event.number for event in events] == list(range(1, len(rows) + 2))
    stop = draw.draw(st.integers(0, len(events) - 1))
    assert read(data, start=events[stop].after) == events[stop + 1 :]


@pytest.mark.parametrize("layout", FAMILIES)
@pytest.mark.parametrize(
    "write",
    [
        table,
        lambda rows: table(rows, ";", lineterminator="\n"),
        lambda rows: gz(BOM + table(rows, "\t")),
        parquet,
        lambda rows: parquet(rows, row_group_size=2, use_dictionary=True, compression="zstd"),
    ],
    ids=["csv", "semicolons", "tsv.gz", "parquet", "row groups"],
)
def test_every_layout_means_the_same_in_every_container(layout, write):
    rows = plain_rows(layout, 5)
    expected, _none = scan_bytes(jsonl(rows))
    records, problems = scan_bytes(write(rows))
    assert problems == []
    bare = [replace(record, line=0, metadata={}) for record in records]
    assert bare == [replace(record, line=0, metadata={}) for record in expected]
    for record, wanted in zip(records, expected, strict=True):
        kept = {name: str(value) for name, value in record.metadata.items() if value is not None}
        assert kept == {name: str(value) for name, value in wanted.metadata.items()}


@pytest.mark.parametrize("write", [table, parquet])
def test_lines_are_named_and_blank_ones_are_no_rows(write):
    rows = rows_of("trl_explicit", 3)
    rows[0]["chosen"] = "two\nlines"
    lines = [event.line for event in read(write(rows))]
    assert lines == ([2, 4, 5] if write is table else [1, 2, 3])
    if write is table:
        assert [event.line for event in read(write(rows).replace(b"\r\n", b"\r\n\r\n"))] == [3, 6, 8]


def test_a_tab_separated_file_may_quote_nothing():
    data = b'prompt\tchosen\trejected\np1\t"so to say\tr1\np2\tc "2"\tr2\np3\tc3\tr3\n'
    assert [event.data["chosen"] for event in read(data)] == ['"so to say', 'c "2"', "c3"]


def test_the_delimiter_is_the_one_by_which_the_rows_fit():
    data = b"prompt;chosen;rejected\na, b;c, d;e\nf, f;g;h\n"
    assert read(data)[0].data == {"prompt": "a, b", "chosen": "c, d", "rejected": "e"}


def test_a_column_without_a_name_is_passed_over():
    assert read(b",prompt,chosen\n0,p,c\n")[0].data == {"prompt": "p", "chosen": "c"}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "'=", "''@", "'", "''"])
def test_a_mark_before_a_formula_is_taken_off_where_the_file_is_our_own(start):
    text = f"{start}1+2"
    [own] = read(table([explicit_row(1) | {"chosen": text}]))
    assert (own.data["chosen"], own.looks_protected) == (text, False)
    for header in ("prompt,chosen", '"prompt","chosen"', 'prompt,"chosen"'):
        foreign = f'{header}\np,"{text}"\n'.encode()
        [row] = read(foreign)
        assert row.data == {"prompt": "p", "chosen": text}
        assert row.looks_protected is text.startswith(("'=", "''@"))


def test_a_text_that_looks_like_json_stays_a_text():
    rows = [explicit_row(1) | {"chosen": '{"a": 1}', "rejected": "[1, 2]"}]
    assert read(table(rows))[0].data == {name: str(value) for name, value in rows[0].items()}


def test_numbers_and_empty_cells_of_known_columns():
    data = b"prompt,chosen,rejected,margin,metadata\np,c,r,0.5,\np,c,r,,\np,c,r,much,\n"
    assert [event.data["margin"] for event in read(data)] == [0.5, None, "much"]
    assert [problem.code for problem in scan_bytes(data)[1]] == ["wrong_type"]


def test_values_that_json_has_not_become_texts():
    import datetime
    from decimal import Decimal

    day = datetime.datetime(2024, 5, 1, 12)
    rows = [{"prompt": "p", "at": day, "cost": Decimal("1.50"), "raw": b"x", "share": float("nan")}]
    assert read(parquet(rows))[0].data == {
        "prompt": "p",
        "at": "2024-05-01T12:00:00",
        "cost": 1.5,
        "raw": "x",
        "share": None,
    }


@pytest.mark.parametrize("write", [table, parquet], ids=["csv", "parquet"])
def test_reading_goes_on_from_any_row_of_any_group(write):
    data = (
        parquet(rows_of("votes", 11), row_group_size=3) if write is parquet else write(rows_of("votes", 11))
    )
    events = read(data)
    for event in events:
        assert read(data, start=event.after) == events[event.number :]


def ragged():
    lines = table(rows_of("trl_explicit", 6)).split(b"\r\n")
    lines[3] += b",one more"
    return b"\r\n".join(lines)


def quote_open():
    return table(rows_of("trl_explicit", 6)).replace(b"No 2.", b'"No 2.')


def latin_1():
    return table(rows_of("trl_explicit", 3)).replace(b"No 1.", "né 1.".encode("latin-1"))


def long_cell():
    return table(rows_of("trl_explicit", 1)) + b'x,"' + (b"y" * 9_999 + b"\n") * 10_000 + b'",c,r,d\n'


def long_line():
    return table(rows_of("trl_explicit", 1)) + b"x," + b"y" * 100_000_000 + b",c,r,d\n"


def nul():
    return table(rows_of("trl_explicit", 3)).replace(b"No 1.", b"N\0o")


def columns_twice():
    return table(rows_of("trl_explicit", 3)).replace(b"debate", b"prompt", 1)


def damaged_parquet():
    data = bytearray(parquet(rows_of("trl_explicit", 3000)))
    data[200:4000] = b"\xff" * 3800
    return bytes(data)


def wrong_type():
    return parquet([row | {"chosen": number} for number, row in enumerate(rows_of("trl_explicit", 3))])


def nul_in_parquet():
    return parquet([explicit_row(1), explicit_row(2) | {"chosen": "a\0b"}])


def other_columns():
    return parquet([{"prompt": "p", "answers": ["a", "b"]}])


def empty_parquet():
    sink = io.BytesIO()
    pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), sink)
    return sink.getvalue()


BAD = {
    "a row with one cell too many": (ragged, "cell_count", 4),
    "a quote that is not closed": (quote_open, "quote_open", 4),
    "Latin-1": (latin_1, "not_utf8", 3),
    "a 100 MB cell": (long_cell, "line_too_long", 3),
    "a 100 MB line": (long_line, "line_too_long", 3),
    "a NUL character": (nul, "nul_character", 3),
    "a column twice": (columns_twice, "column_twice", 1),
    "wrong columns": (lambda: b"question,good,bad\nq,g,b\n", "wrong_keys", 2),
    "a header alone": (lambda: b"prompt,chosen,rejected\n", "empty_file", 1),
    "a duplicate id": (
        lambda: table([explicit_row(1), explicit_row(2) | {"id": "e1"}]),
        "id_reused",
        3,
    ),
    "a truncated gzipped table": (
        lambda: gz(table(rows_of("trl_explicit", 4000)))[:-20],
        "gzip_truncated",
        None,
    ),
    "a truncated Parquet file": (
        lambda: parquet(rows_of("trl_explicit", 300))[:-30],
        "parquet_damaged",
        1,
    ),
    "a damaged Parquet file": (damaged_parquet, "parquet_damaged", None),
    "a Parquet file without the columns": (other_columns, "wrong_keys", 1),
    "a Parquet column of another type": (wrong_type, "wrong_type", 1),
    "a NUL character in Parquet": (nul_in_parquet, "nul_character", 2),
    "a Parquet file without rows": (empty_parquet, "empty_file", 1),
    "a gzipped Parquet file": (lambda: gz(parquet(rows_of("votes", 3))), "foreign_format", 1),
}


@pytest.mark.django_db
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_table_or_parquet_file_is_refused_by_line_and_nothing_is_imported(bring, kind):
    make, code, line = BAD[kind]
    import_ = bring(make(), "brought.csv")
    assert import_run(import_) is None
    assert (import_.state, import_.problems[0]["code"]) == (ImportState.REFUSED, code)
    assert line is None or import_.problems[0]["line"] == line
    assert not Prompt.objects.exists()
    problem = ImportProblem.from_json(import_.problems[0])
    assert problem.message
    assert "%(" not in problem.message


@pytest.mark.django_db
@pytest.mark.parametrize("write", [table, parquet], ids=["csv", "parquet"])
def test_a_table_and_a_parquet_file_are_imported(bring, write):
    counts = import_run(bring(write(rows_of("votes", 30)), "rows.jsonl"))
    assert (counts.records, Comparison.objects.count(), Preference.objects.count()) == (30, 30, 90)


@pytest.mark.django_db
def test_bad_rows_of_a_table_are_skipped_when_that_is_asked_for(bring):
    counts = import_run(bring(ragged()), skip_bad=True)
    assert (counts.records, counts.skipped) == (5, 1)


def test_a_parquet_file_that_unpacks_too_far_is_stopped():
    data = parquet([{"prompt": "x" * 10_000}] * 5_000, use_dictionary=True)
    limits = Limits(ratio_free_bytes=1_000_000)
    assert [(e.code, e.fatal) for e in read(data, limits=limits)][-1] == ("expands_too_much", True)
    assert read(data, limits=Limits(max_total_bytes=1_000_000))[-1].code == "too_large"


def test_deep_nesting_in_a_cell_is_refused():
    data = table([{"prompt": "p", "responses": "[" * 80 + "]" * 80}])
    assert [event.code for event in read(data)] == ["too_deep"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_memory_does_not_grow_with_a_table_or_a_parquet_file(tmp_path, kind):
    def peak_mb(count):
        rows = [explicit_row(number) | {"chosen": f"{number} " + "c" * 2000} for number in range(count)]
        path = tmp_path / f"{count}.{kind}"
        path.write_bytes(table(rows) if kind == "csv" else parquet(rows, row_group_size=1000))
        del rows
        pa.default_memory_pool().release_unused()
        tracemalloc.start()
        with path.open("rb") as handle:
            assert sum(isinstance(event, Row) for event in read_rows(handle)) == count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak / 1e6

    small, large = peak_mb(1_000), peak_mb(8_000)
    assert large < small + 0.3
    assert large < 6
