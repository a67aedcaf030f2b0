"""The bad files of the acceptance list, for each layout: a clear error by line, and nothing imported."""

import re

import orjson
import pytest
from django.test import Client
from django.urls import reverse

from labeling.importing.pages import import_context, problems_of
from labeling.importing.problems import ImportProblem, ProblemGroup
from labeling.importing.services import ImportStateError, import_check, import_confirm, import_run
from labeling.models import Comparison, Import, ImportState, Labeler, Preference, Prompt, Response
from tests.labeling.importing.conftest import finish_job
from tests.labeling.importing.helpers import FAMILIES, gz, json_array, jsonl, rows_of

BOM = b"\xef\xbb\xbf"


def truncated(layout):
    rows = [
        row | {"metadata": {"noise": orjson.dumps(list(range(n, n + 300))).decode()}}
        for n, row in enumerate(rows_of(layout, 80))
    ]
    return gz(jsonl(rows))[:-30]


def truncated_array(layout):
    return gz(json_array(rows_of(layout, 40)))[:-9]


def wrong_keys(layout):
    _make, key = FAMILIES[layout]
    return jsonl(
        [{(f"my_{key}" if name == key else name): row[name] for name in row} for row in rows_of(layout, 4)]
    )


def one_bad_line(layout):
    lines = jsonl(rows_of(layout, 10_000)).split(b"\n")
    lines[6_788] = lines[6_788][:-1]
    return b"\n".join(lines)


def long_line(layout):
    rows = rows_of(layout, 3)
    return jsonl(rows[:1]) + b'{"prompt": "' + b"x" * 100_000_000 + b'"}\n' + jsonl(rows[1:])


def latin_1(layout):
    row = orjson.dumps(rows_of(layout, 2)[1] | {"metadata": {"place": "@"}}).replace(
        b"@", "Orléans".encode("latin-1")
    )
    return jsonl(rows_of(layout, 1)) + row + b"\n"


def empty(_layout):
    return b""


def only_blank_lines(_layout):
    return b"\n\n  \n"


def mixed(layout):
    other = "votes" if layout != "votes" else "responses"
    return jsonl([*rows_of(layout, 3), *rows_of(other, 1)])


def duplicate_ids(layout):
    rows = [row | {"id": f"n{number}"} for number, row in enumerate(rows_of(layout, 4))]
    return jsonl([*rows, rows_of(layout, 5)[4] | {"id": "n1"}])


def not_json(_layout):
    return b"%PDF-1.7 a report, say"


# maker, code, line of the first problem (None: wherever the cut falls), words of its sentence
BAD = {
    "truncated gzip": (truncated, "gzip_truncated", None, "cut off"),
    "truncated gzipped array": (truncated_array, "gzip_truncated", None, "cut off"),
    "wrong keys": (wrong_keys, "wrong_keys", 1, "No layout has these keys"),
    "one bad line in 10,000": (one_bad_line, "bad_json", 6_789, "Not valid JSON"),
    "100 MB line": (long_line, "line_too_long", 2, "longer than 16,777,216 bytes"),
    "Latin-1": (latin_1, "not_utf8", 2, "is not UTF-8"),
    "empty": (empty, "empty_file", 1, "holds no rows"),
    "only blank lines": (only_blank_lines, "empty_file", 1, "holds no rows"),
    "mixed layouts": (mixed, "mixed_layouts", 4, "but line 1 has"),
    "duplicate ids": (duplicate_ids, "id_reused", 5, "stands for something else on line 2"),
    "another kind of file": (not_json, "foreign_format", 1, "PDF file"),
}


def assert_nothing_was_imported():
    for model in (Prompt, Response, Comparison, Preference, Labeler):
        assert not model.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("layout", FAMILIES)
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_by_line_and_nothing_is_imported(bring, layout, kind):
    make, code, line, _words = BAD[kind]
    import_ = bring(make(layout))
    assert import_run(import_) is None
    assert import_.state == ImportState.REFUSED
    assert import_.problems[0]["code"] == code
    assert line is None or import_.problems[0]["line"] == line
    assert import_.problems[0]["line"] >= 1
    with pytest.raises(ImportStateError):
        import_confirm(import_, enqueue=False)
    assert_nothing_was_imported()


@pytest.mark.django_db
@pytest.mark.parametrize("layout", FAMILIES)
def test_a_byte_order_mark_is_no_problem(bring, layout):
    import_run(bring(BOM + jsonl(rows_of(layout, 4))))
    import_run(bring(BOM + json_array(rows_of(layout, 4)), "again.json"))
    assert Prompt.objects.count() == 4
    assert set(Import.objects.values_list("state", "problem_count")) == {(ImportState.DONE, 0)}


@pytest.mark.django_db
@pytest.mark.parametrize("layout", FAMILIES)
def test_bad_lines_are_skipped_when_that_is_asked_for(bring, layout):
    lines = jsonl(rows_of(layout, 30)).split(b"\n")
    lines[3], lines[17] = b"{oops", b'"text"'
    import_ = bring(b"\n".join(lines))
    counts = import_run(import_, skip_bad=True)
    assert (counts.records, counts.skipped) == (28, 2)
    assert Prompt.objects.count() == 28
    assert [problem["line"] for problem in import_.problems] == [4, 18]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "kind", ["truncated gzip", "truncated gzipped array", "empty", "another kind of file"]
)
def test_a_file_that_cannot_be_read_whole_is_not_imported_in_part(bring, kind):
    import_ = bring(BAD[kind][0]("votes"), skip_bad=True)
    assert import_run(import_, skip_bad=True) is None
    with pytest.raises(ImportStateError, match="cannot be imported"):
        import_confirm(import_, skip_bad=True, enqueue=False)
    assert_nothing_was_imported()


@pytest.mark.django_db
def test_problems_are_counted_and_the_first_200_that_read_differently_are_kept(bring):
    rows = [{"prompt": "p", "chosen": "c", "rejected": "r", "margin": -number} for number in range(1, 301)]
    import_ = bring(jsonl(rows) + b"{bad\n" * 1_000)
    import_check(import_)
    assert (len(import_.problems), import_.problem_count, import_.state) == (200, 1_300, ImportState.REFUSED)


@pytest.mark.django_db
def test_problems_that_read_the_same_are_one_with_their_first_lines_and_number(bring):
    rows = [{"prompt": "p", "chosen": "", "answer": "r"} for _ in range(1_000)]
    import_ = bring(b"{bad\n" + jsonl(rows) + b"{bad\n")
    import_check(import_)
    bad, keys = problems_of(import_)
    assert (bad.first.code, bad.count, bad.where) == ("bad_json", 2, "1, 1002")
    assert (keys.first.code, keys.count, keys.where) == ("wrong_keys", 1_000, "2, 3, 4, 5, 6 and 995 more")
    assert import_context(import_)["more_problems"] == 0


@pytest.mark.django_db
def test_problems_of_a_file_of_one_line_are_named_by_their_records(bring):
    row = {"prompt": "p", "chosen": "c", "rejected": "c"}
    import_ = bring(json_array([row] * 7, indent=False))
    import_check(import_)
    [group] = problems_of(import_)
    assert group.where == "1 (records 1, 2, 3, 4, 5) and 2 more"


def test_a_problem_that_was_stored_by_itself_is_a_group_of_one():
    stored = ImportProblem(4, 7, "empty_text", {"path": "prompt"}, row=4).as_json()
    group = ProblemGroup.from_json(stored)
    assert (group.count, group.where, group.first.column) == (1, "4", 7)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", BAD)
def test_the_page_says_what_is_wrong_and_where(project, manager, kind, tmp_path):
    make, _code, line, words = BAD[kind]
    path = tmp_path / "brought.jsonl"
    path.write_bytes(make("trl_explicit"))
    client = Client()
    client.force_login(manager)
    with path.open("rb") as file:
        answer = client.post(reverse("labeling:import-new", args=["pairs"]), {"file": file, "pairs": "all"})
    import_ = Import.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == reverse("labeling:import-detail", args=["pairs", import_.uid])
    import_ = finish_job(import_)
    page = client.get(answer["Location"]).content.decode()
    assert "Nothing was imported." in page
    assert words in page
    places = re.findall(r'<td class="places"[^>]*>(\d+)', page)
    assert places
    assert line is None or int(places[0]) == line
    client.post(reverse("labeling:import-confirm", args=["pairs", import_.uid]))
    import_.refresh_from_db()
    assert import_.state == ImportState.REFUSED
    assert_nothing_was_imported()
