"""Bytes become rows, or problems with a place; nothing is lost between the two."""

import io
import random
import tracemalloc

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.importing.problems import ImportProblem
from labeling.importing.reader import Position, Row, read_rows
from labeling.importing.sources import CHUNK_BYTES, Limits
from tests.labeling.importing.helpers import explicit_row, gz, json_array, jsonl, rows_of

json_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
json_value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | json_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(json_text, inner, max_size=3),
    max_leaves=8,
)
json_rows = st.lists(st.dictionaries(json_text, json_value, max_size=4), min_size=1, max_size=8)


def read(data: bytes, **options):
    return list(read_rows(io.BytesIO(data), **options))


class Dribble(io.BytesIO):
    """A file that gives few bytes at a time, so that every boundary falls inside something."""

    def read(self, size=-1):
        return super().read(min(size, 3) if size > 0 else size)


@given(json_rows, st.booleans(), st.booleans(), st.sampled_from(["jsonl", "indented", "compact"]))
@settings(max_examples=60, deadline=None)
def test_rows_read_back_equal_in_every_wrapping(rows, packed, bom, shape):
    data = jsonl(rows) if shape == "jsonl" else json_array(rows, indent=shape == "indented")
    data = b"\xef\xbb\xbf" + data if bom else data
    data = gz(data) if packed else data
    for handle in (io.BytesIO(data), Dribble(data)):
        events = list(read_rows(handle))
        assert [event.data for event in events] == rows
        assert [event.number for event in events] == list(range(1, len(rows) + 1))


@given(json_rows, st.booleans(), st.sampled_from(["jsonl", "indented", "compact"]), st.data())
@settings(max_examples=60, deadline=None)
def test_reading_goes_on_from_any_row(rows, packed, shape, data):
    raw = jsonl(rows) if shape == "jsonl" else json_array(rows, indent=shape == "indented")
    raw = gz(raw) if packed else raw
    events = read(raw)
    stop = data.draw(st.integers(0, len(events) - 1))
    assert read(raw, start=events[stop].after) == events[stop + 1 :]


@given(st.integers(1, 40), st.floats(0, 1), st.booleans())
@settings(max_examples=80, deadline=None)
def test_a_cut_gzip_file_is_never_a_silent_success(count, share, as_array):
    rows = rows_of("trl_explicit", count)
    whole = gz(json_array(rows) if as_array else jsonl(rows))
    cut = whole[: int(share * (len(whole) - 1))]
    events = read(cut)
    if cut:
        assert isinstance(events[-1], ImportProblem)
        assert events[-1].fatal or events[-1].code in {"bad_json", "not_utf8"}
    else:
        assert events == []
    assert [e.data for e in events if isinstance(e, Row)] == rows[: sum(isinstance(e, Row) for e in events)]


def test_a_cut_gzip_says_so_with_the_line_reached():
    rng = random.Random(4)
    rows = [{"text": "".join(rng.choices("abcdefghijklmnop", k=4000))} for _ in range(400)]
    events = read(gz(jsonl(rows))[:-20])
    assert events[-1].code == "gzip_truncated"
    assert events[-1].fatal
    assert events[-1].line > 300


def test_a_flipped_byte_in_a_gzip_file_is_fatal():
    data = bytearray(gz(jsonl(rows_of("votes", 200))))
    data[len(data) // 2] ^= 0x55
    last = read(bytes(data))[-1]
    assert isinstance(last, ImportProblem)
    assert last.fatal


def test_members_of_a_gzip_file_follow_each_other():
    first, second = jsonl(rows_of("votes", 3)), jsonl(rows_of("votes", 5))
    assert [e.data for e in read(gz(first) + gz(second))] == rows_of("votes", 3) + rows_of("votes", 5)


def test_bytes_behind_the_gzip_end_are_fatal():
    assert read(gz(jsonl(rows_of("votes", 3))) + b"rubbish")[-1].code == "gzip_corrupt"


def test_one_bad_line_in_10000_is_named_by_line_and_column():
    lines = jsonl(rows_of("trl_explicit", 10_000)).split(b"\n")
    lines[7122] = b'{"id": "x", "prompt": "p", "chosen": "c" "rejected": "r"}'
    events = read(b"\n".join(lines))
    problems = [e for e in events if isinstance(e, ImportProblem)]
    assert [(p.line, p.column, p.code, p.fatal) for p in problems] == [(7123, 42, "bad_json", False)]
    assert len(events) == 10_000


def test_a_broken_array_is_fatal_at_its_line():
    data = json_array(rows_of("ranked", 4)).replace(b'"input"', b'"input', 1)
    last = read(data)[-1]
    assert last.fatal
    assert last.line >= 2


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'[{"a": 1}, {"a": 2}', "array_truncated"),
        (b'[{"a": 1} {"a": 2}]', "array_punctuation"),
        (b'[{"a": 1},, {"a": 2}]', "array_punctuation"),
        (b'[{"a": 1},]', "array_punctuation"),
        (b'[{"a": 1}] []', "after_array"),
    ],
)
def test_punctuation_of_an_array(data, code):
    last = read(data)[-1]
    assert (last.code, last.fatal) == (code, True)


@pytest.mark.parametrize("as_array", [False, True])
def test_a_row_that_is_no_object_is_named(as_array):
    rows = [{"a": 1}, "text", {"a": 2}, None, 3, [1]]
    events = read(json_array(rows) if as_array else jsonl(rows))
    assert [e.params["found"] for e in events if isinstance(e, ImportProblem)] == [
        "string",
        "null",
        "number",
        "array",
    ]


def test_latin_1_names_the_byte_its_offset_and_line():
    data = jsonl([{"a": 1}]) + '{"a": "né"}\n'.encode("latin-1")
    problem = read(data)[-1]
    assert (problem.line, problem.column, problem.code) == (2, 9, "not_utf8")
    assert problem.params == {"byte": "0xe9", "offset": 16}
    assert data[16] == 0xE9


def test_latin_1_in_an_array_is_placed_on_its_own_line():
    data = '[\n  {\n    "a": "né"\n  }\n]'.encode("latin-1")
    problem = read(data)[-1]
    assert (problem.line, problem.column, problem.code, problem.fatal) == (3, 12, "not_utf8", True)


@pytest.mark.parametrize("as_array", [False, True])
def test_a_long_row_is_named_without_reading_it_into_memory(as_array):
    class Endless(io.RawIOBase):
        """100 MB in one text between two short rows, made while it is read."""

        def __init__(self):
            rows = (b"[", b",", b"]") if as_array else (b"", b"\n", b"\n")
            self.head = rows[0] + b'{"a": 1}' + rows[1] + b'{"a": "'
            self.tail = b'"}' + rows[1] + b'{"a": 2}' + rows[2]
            self.size = len(self.head) + 100_000_000 + len(self.tail)
            self.position = 0

        def seek(self, offset, whence=0):
            self.position = offset
            return offset

        def read(self, size=-1):
            begin, end = self.position, min(self.position + size, self.size)
            self.position = end
            middle_end = self.size - len(self.tail)
            body = max(0, min(end, middle_end) - max(begin, len(self.head)))
            tail = self.tail[max(0, begin - middle_end) : end - middle_end] if end > middle_end else b""
            return self.head[begin:end] + b"x" * body + tail

    tracemalloc.start()
    events = list(read_rows(Endless(), limits=Limits(max_line_bytes=4 * 1024 * 1024)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [e.data if isinstance(e, Row) else (e.code, e.line, e.row) for e in events] == [
        {"a": 1},
        ("line_too_long", 1 if as_array else 2, 2),
        {"a": 2},
    ]
    assert peak < 24 * 1024 * 1024


def test_a_bomb_is_stopped():
    limits = Limits(ratio_free_bytes=4 * CHUNK_BYTES)
    events = read(gz(b'{"a": "' + b"x" * 50_000_000), limits=limits)
    assert [(e.code, e.fatal) for e in events] == [("expands_too_much", True)]
    assert read(jsonl(rows_of("votes", 50)), limits=Limits(max_total_bytes=1000))[-1].code == "too_large"


@pytest.mark.parametrize("depth", [70, 3_000, 1_000_000])
@pytest.mark.parametrize("as_array", [False, True])
def test_deep_nesting_is_refused(depth, as_array):
    row = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    data = b"[" + row + b"]" if as_array else row
    assert [e.code for e in read(data)] == ["too_deep"]


def test_a_nul_character_is_named_by_its_path():
    events = read(b'{"a": {"b": ["x", "y\\u0000"]}}\n{"a": "\\\\u0000 spelt out"}\n')
    assert (events[0].code, events[0].params) == ("nul_character", {"path": "a.b[1]"})
    assert events[1].data == {"a": "\\u0000 spelt out"}


@pytest.mark.parametrize("data", [b"", b"\n \r\n\n", b"\xef\xbb\xbf", b"[]", b"[ \n ]", gz(b"")])
def test_files_without_rows_give_nothing(data):
    assert read(data) == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"PK\x03\x04rest", "foreign_format"),
        (b"PAR1....", "foreign_format"),
        (gz(gz(b"{}")), "foreign_format"),
        ('{"a": 1}'.encode("utf-16"), "utf16"),
    ],
)
def test_other_kinds_of_file_are_told_by_their_first_bytes(data, code):
    assert [(e.code, e.fatal) for e in read(data)] == [(code, True)]


def test_blank_lines_and_crlf_do_not_shift_line_numbers():
    events = read(b'{"a": 1}\r\n\r\n\n{"a": 2}\r\n{"a"}')
    assert [e.line for e in events] == [1, 4, 5]
    assert events[0].after == Position(10, 2, 1)


def test_memory_does_not_grow_with_the_file(tmp_path):
    def peak_mb(rows: int, as_array: bool) -> float:
        path = tmp_path / f"{rows}.json"
        line = orjson.dumps(explicit_row(1) | {"chosen": "c" * 2000})
        with path.open("wb") as out:
            out.write(b"[" if as_array else b"")
            for number in range(rows):
                out.write((b"," if as_array and number else b"") + line + b"\n")
            out.write(b"]" if as_array else b"")
        tracemalloc.start()
        with path.open("rb") as handle:
            assert sum(isinstance(event, Row) for event in read_rows(handle)) == rows
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak / 1e6

    for as_array in (False, True):
        small, large = peak_mb(1_000, as_array), peak_mb(10_000, as_array)
        assert large < small + 0.2
        assert large < 4
