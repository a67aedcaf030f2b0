"""Zips of files and of data set folders: every layout, every fault, no name of an archive trusted."""

import io
import struct
import tracemalloc
import zipfile

import pytest

from labeling.importing.containers import member_names, read_rows
from labeling.importing.dataset_card import card_files, card_naming, data_splits
from labeling.importing.folders import packed_folder
from labeling.importing.problems import ProblemGroup
from labeling.importing.reader import Row
from labeling.importing.services import import_check, import_confirm, import_run, import_write
from labeling.importing.sources import Limits
from labeling.models import Comparison, ImportState, Prompt
from tests.labeling.importing.helpers import FAMILIES, explicit_row, gz, jsonl, rows_of, scan_bytes
from tests.labeling.importing.wrappings import arrow, packed, parquet, plain_rows, table


def read(data, **options):
    return list(read_rows(io.BytesIO(data), **options))


def halves(layout, write):
    rows = plain_rows(layout, 6)
    return {"data/b.part": b"", "data/a.jsonl": write(rows[:4]), "data/c.jsonl": write(rows[4:])}


@pytest.mark.parametrize("layout", FAMILIES)
@pytest.mark.parametrize("write", [jsonl, lambda rows: gz(jsonl(rows)), table, parquet, arrow])
def test_every_layout_means_the_same_in_an_archive(layout, write):
    files = halves(layout, write)
    expected = [scan_bytes(files[name])[0] for name in ("data/a.jsonl", "data/c.jsonl")]
    records, problems = scan_bytes(packed(files))
    assert problems == []
    assert records == expected[0] + expected[1]


@pytest.mark.parametrize("write", [jsonl, lambda rows: gz(jsonl(rows)), table, parquet, arrow])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_reading_goes_on_from_any_row_of_any_member(write, compression):
    rows = rows_of("votes", 9)
    data = packed(
        {"1.csv": write(rows[:4]), "2.csv": write(rows[4:5]), "3.csv": write(rows[5:])}, compression
    )
    events = read(data)
    assert [event.number for event in events] == list(range(1, 10))
    assert {event.member for event in events} == {"1.csv", "2.csv", "3.csv"}
    for event in events:
        assert [again.data for again in read(data, start=event.after)] == [
            later.data for later in events[event.number :]
        ]
        assert [again.number for again in read(data, start=event.after)] == list(range(event.number + 1, 10))


def two(second, first=None):
    return packed({"a.jsonl": first or jsonl(rows_of("trl_explicit", 3)), "b.jsonl": second})


def one_bad_line_in_the_second():
    return two(jsonl(rows_of("trl_explicit", 2)) + b"{oops\n")


def other_layout():
    return two(jsonl(rows_of("votes", 2)))


def same_id():
    return two(jsonl([explicit_row(9) | {"id": "e1"}]))


def latin_1():
    return two(jsonl([explicit_row(9)]).replace(b"careful", "né".encode("latin-1")))


def cut_off():
    return two(jsonl(rows_of("trl_explicit", 300)))[:-40]


def damaged():
    data = bytearray(two(jsonl(rows_of("trl_explicit", 3000))))
    data[2000:3000] = b"\xaa" * 1000
    return bytes(data)


def wrong_sum():
    data = two(jsonl(rows_of("trl_explicit", 30)))
    at = data.rfind(b"PK\x01\x02") + 16
    return data[:at] + bytes(4) + data[at + 4 :]


def encrypted():
    data = bytearray(two(jsonl(rows_of("trl_explicit", 3))))
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def many():
    return packed({f"{number}.csv": b"prompt,chosen,rejected\n" for number in range(1001)})


def huge_directory():
    data = bytearray(two(jsonl(rows_of("trl_explicit", 3))))
    at = data.rfind(b"PK\x05\x06")
    data[at + 12 : at + 16] = struct.pack("<L", 2**31)
    return bytes(data)


def long_line():
    files = {"a.jsonl": jsonl(rows_of("trl_explicit", 3)), "b.jsonl": b'{"prompt": "' + b"x" * 100_000_000}
    return packed(files, zipfile.ZIP_STORED)


# maker, code, file and line of the first problem
BAD = {
    "one bad line": (one_bad_line_in_the_second, "bad_json", "b.jsonl", 3),
    "mixed layouts": (other_layout, "mixed_layouts", "b.jsonl", 1),
    "a duplicate id": (same_id, "id_reused", "b.jsonl", 1),
    "Latin-1": (latin_1, "not_utf8", "b.jsonl", 1),
    "wrong keys": (lambda: two(b'{"question": "q"}\n'), "wrong_keys", "b.jsonl", 1),
    "a nested zip": (lambda: two(two(b"")), "foreign_format", "b.jsonl", 1),
    "a cut archive": (cut_off, "zip_damaged", "", 1),
    "a damaged member": (damaged, "zip_damaged", "b.jsonl", 1),
    "a wrong checksum": (wrong_sum, "zip_damaged", "b.jsonl", 1),
    "an encrypted member": (encrypted, "zip_encrypted", "", 1),
    "no data": (lambda: packed({"notes.docx": b"PK", "README.md": b"hello"}), "zip_no_data", "", 1),
    "an empty archive": (lambda: packed({}), "zip_no_data", "", 1),
    "empty members": (lambda: packed({"a.jsonl": b"", "b.jsonl": b"\n"}), "empty_file", "", 1),
    "too many members": (many, "zip_too_many", "", 1),
    "a directory of gigabytes": (huge_directory, "zip_too_many", "", 1),
    "a truncated gzip": (
        lambda: two(gz(jsonl(rows_of("trl_explicit", 99)))[:-9]),
        "gzip_truncated",
        "b.jsonl",
        100,
    ),
    "a truncated Parquet": (
        lambda: two(parquet(rows_of("trl_explicit", 9))[:-9]),
        "parquet_damaged",
        "b.jsonl",
        1,
    ),
    "a truncated Arrow": (lambda: two(arrow(rows_of("trl_explicit", 9))[:-3]), "arrow_damaged", "b.jsonl", 1),
    "a 100 MB line": (long_line, "line_too_long", "b.jsonl", 1),
    "a quote not closed": (
        lambda: two(table([explicit_row(7)]) + b'x,"y,c,r,d\r\n', table([explicit_row(1)])),
        "quote_open",
        "b.jsonl",
        3,
    ),
}


@pytest.mark.django_db
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_archive_is_refused_by_file_and_line_and_nothing_is_imported(bring, kind):
    make, code, member, line = BAD[kind]
    import_ = bring(make(), "brought.zip")
    assert import_run(import_) is None
    assert import_.state == ImportState.REFUSED
    group = ProblemGroup.from_json(import_.problems[0])
    assert (group.first.code, group.first.member, group.first.line) == (code, member, line)
    assert group.where.startswith(member)
    assert "%(" not in group.first.message + group.first.hint
    assert not Prompt.objects.exists()


@pytest.mark.parametrize("indexed", [False, True])
def test_an_arrow_file_is_read_and_resumed_and_a_cut_one_refused(indexed):
    data = arrow(rows_of("trl_explicit", 7), indexed=indexed)
    events = read(data)
    assert [event.data for event in events] == rows_of("trl_explicit", 7)
    for event in events:
        assert read(data, start=event.after) == events[event.number :]
    for cut in (9, len(data) // 2, len(data) - 1):
        assert (read(data[:cut])[-1].code, read(data[:cut])[-1].fatal) == ("arrow_damaged", True)


@pytest.mark.django_db
def test_an_arrow_file_is_imported(bring):
    assert import_run(bring(arrow(rows_of("trl_explicit", 7)), "data.arrow")).comparisons == 7


def test_what_datasets_saves_to_disk_is_read(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs datasets: requirements/dev.txt")
    rows = rows_of("trl_explicit", 30)
    parts = {"train": datasets.Dataset.from_list(rows[:20]), "test": datasets.Dataset.from_list(rows[20:])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    with packed_folder(tmp_path / "saved") as handle:
        records, problems = scan_bytes(handle.read())
    assert problems == []
    assert {record.external_id for record in records} == {f"e{number}" for number in range(30)}


def test_a_bomb_is_stopped_before_it_is_unpacked():
    data = packed({"a.jsonl": b" " * 90_000_000})
    assert [event.code for event in read(data)] == ["expands_too_much"]
    inside = packed({"a.jsonl.gz": gz(b" " * 90_000_000)})
    assert [event.code for event in read(inside)] == ["expands_too_much"]
    assert [event.code for event in read(data, limits=Limits(max_total_bytes=10_000))] == ["too_large"]


def test_names_of_members_lead_nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("../../escaped.jsonl", "/etc/escaped.jsonl", "C:\\escaped.jsonl", "a\n<b>.jsonl")
    data = packed({name: jsonl([explicit_row(number)]) for number, name in enumerate(names)})
    assert sorted(event.data["id"] for event in read(data)) == ["e1", "e2", "e3"]
    assert list(tmp_path.iterdir()) == []


CARD = """---
license: mit
configs:
- config_name: small
  data_files: small/*.jsonl
- config_name: full
  default: true
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: [data/test-0.parquet, "more/**/t?.csv"]
---
# A data set
"""


def test_a_card_names_the_files():
    names = ["data/train-0.parquet", "data/test-0.parquet", "more/x/y/t1.csv", "more/t2.csv", "more/u.csv"]
    names += ["small/a.jsonl", "README.md", "other.jsonl"]
    assert list(data_splits(names, ("README.md", CARD))) == sorted(names[:4])
    assert list(data_splits(names, ("README.md", CARD), "small")) == ["small/a.jsonl"]
    under = [f"top/{name}" for name in names]
    assert list(data_splits(under, ("top/README.md", CARD))) == sorted(under[:4])
    splits = data_splits(names, ("README.md", CARD))
    assert [splits[name] for name in names[:4]] == ["train", "test", "test", "test"]
    assert data_splits(splits, ("README.md", card_naming(splits))) == splits
    with pytest.raises(KeyError, match="huge"):
        data_splits(names, ("README.md", CARD), "huge")


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("---\nconfigs:\n  - data_dir: en/\n---", ["en/**"]),
        ("---\nconfigs:\n- data_files: [./a.csv, b.csv]\n---", ["a.csv", "b.csv"]),
        ("---\nconfigs: {}\n---", []),
        ("---\nconfigs: [1, {}]\n---", []),
        ("---\n: [}\n---", []),
        ("---\n" + "[" * 5000 + "\n---", []),
        ("# no front matter", []),
    ],
)
def test_cards_of_any_kind(text, patterns):
    assert [pattern for pattern, _split in card_files(text)] == patterns


def test_without_a_card_files_are_told_by_what_they_are_called():
    names = ["b.JSONL", "a.csv.gz", "manifest.json", "__MACOSX/a.csv", ".hidden/a.csv", "notes.txt"]
    assert list(data_splits(names)) == ["a.csv.gz", "b.JSONL"]
    files = {name: jsonl([explicit_row(1)]) for name in names}
    assert member_names(io.BytesIO(packed(files))) == (
        ["a.csv.gz", "b.JSONL"],
        [".hidden/a.csv", "__MACOSX/a.csv", "manifest.json", "notes.txt"],
    )


@pytest.mark.django_db
def test_a_data_set_folder_is_imported_and_says_what_it_read(bring):
    rows = rows_of("trl_explicit", 8)
    files = {
        "set/README.md": CARD.encode(),
        "set/data/train-0.parquet": parquet(rows[:5]),
        "set/data/test-0.parquet": parquet(rows[5:]),
        "set/other.jsonl": b"{oops",
    }
    import_ = bring(packed(files, zipfile.ZIP_STORED), "set.zip")
    assert import_run(import_).comparisons == 8
    assert import_.members == ["set/data/test-0.parquet", "set/data/train-0.parquet"]
    assert import_.counts["passed_over"] == ["set/README.md", "set/other.jsonl"]


@pytest.mark.django_db
@pytest.mark.parametrize("write", [jsonl, table, parquet], ids=["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("skip_bad", [False, True])
def test_an_import_that_stops_goes_on_within_its_member(bring, monkeypatch, write, skip_bad):
    monkeypatch.setattr("labeling.importing.writing.BATCH_RECORDS", 3)
    rows = rows_of("trl_explicit", 11)
    bad = b"{oops\n" if write is jsonl and skip_bad else b""
    data = packed({"1": b"", "1.csv": write(rows[:4]) + bad, "2.csv": write(rows[4:])})
    import_ = bring(data, "set.zip")
    import_check(import_)
    import_confirm(import_, skip_bad=skip_bad, enqueue=False)
    passes = 0
    while import_.state != ImportState.DONE:
        passes += 1

        def stop(_done, _total):
            raise KeyboardInterrupt

        try:
            import_write(import_, progress=stop)
        except KeyboardInterrupt:
            import_.refresh_from_db()
        if import_.cursor == import_.row_count:
            import_write(import_)
    assert passes == 4
    assert Comparison.objects.count() == 11
    assert import_.counts["written"]["skipped"] == bool(bad)


def test_memory_does_not_grow_with_an_archive():
    def peak_mb(count):
        rows = [explicit_row(number) | {"chosen": f"{number} " + "c" * 2000} for number in range(count)]
        handle = io.BytesIO(packed({"a.jsonl": jsonl(rows), "b.parquet": parquet(rows, row_group_size=500)}))
        del rows
        tracemalloc.start()
        assert sum(isinstance(event, Row) for event in read_rows(handle)) == 2 * count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak / 1e6

    assert peak_mb(12_000) < 6  # of 48 MB of rows
