"""What an import does with a bad file: it says so on its page, and writes nothing."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from labeling.importing.pages import import_context, problems_of
from labeling.importing.problems import ImportProblem, ProblemGroup
from labeling.importing.services import ImportStateError, import_check, import_confirm, import_run
from labeling.models import Comparison, Import, ImportState, Labeler, Preference, Prompt, Response
from tests.labeling.importing.conftest import finish_job
from tests.labeling.importing.faults import FAULTS, SMALL, Bad
from tests.labeling.importing.helpers import FAMILIES, json_array, jsonl, rows_of
from tests.labeling.importing.wrappings import CONTAINERS

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small_rows(monkeypatch):
    """The limit of a row that the faults know of."""
    monkeypatch.setattr("labeling.importing.containers.Limits", lambda: SMALL)


def spoiled(fault: str, layout: str, container: str) -> tuple[Bad | None, bytes]:
    bad = FAULTS[fault](layout, CONTAINERS[container])
    return bad, bad.bytes_in(CONTAINERS[container]) if bad else b""


def assert_nothing_was_imported():
    for model in (Prompt, Response, Comparison, Preference, Labeler):
        assert not model.objects.exists()


@pytest.mark.parametrize("layout", FAMILIES)
def test_bad_lines_are_skipped_when_that_is_asked_for(bring, layout):
    lines = jsonl(rows_of(layout, 30)).split(b"\n")
    lines[3], lines[17] = b"{oops", b'"text"'
    import_ = bring(b"\n".join(lines))
    counts = import_run(import_, skip_bad=True)
    assert (counts.records, counts.skipped) == (28, 2)
    assert Prompt.objects.count() == 28
    assert [problem["line"] for problem in import_.problems] == [4, 18]


@pytest.mark.parametrize(
    ("fault", "container"),
    [("truncated", "jsonl.gz"), ("truncated", "array.gz"), ("truncated", "zip of csv"), ("empty", "parquet")],
)
def test_a_file_that_cannot_be_read_whole_is_not_imported_in_part(bring, fault, container):
    import_ = bring(spoiled(fault, "votes", container)[1], skip_bad=True)
    assert import_run(import_, skip_bad=True) is None
    with pytest.raises(ImportStateError, match="cannot be imported"):
        import_confirm(import_, skip_bad=True, enqueue=False)
    assert_nothing_was_imported()


def test_problems_are_counted_and_the_first_200_that_read_differently_are_kept(bring):
    rows = [{"prompt": "p", "chosen": "c", "rejected": "r", "margin": -number} for number in range(1, 301)]
    import_ = bring(jsonl(rows) + b"{bad\n" * 1_000)
    import_check(import_)
    assert (len(import_.problems), import_.problem_count, import_.state) == (200, 1_300, ImportState.REFUSED)


def test_problems_that_read_the_same_are_one_with_their_first_lines_and_number(bring):
    rows = [{"prompt": "p", "chosen": "", "answer": "r"} for _ in range(1_000)]
    import_ = bring(b"{bad\n" + jsonl(rows) + b"{bad\n")
    import_check(import_)
    bad, keys = problems_of(import_)
    assert (bad.first.code, bad.count, bad.where) == ("bad_json", 2, "1, 1002")
    assert (keys.first.code, keys.count, keys.where) == ("wrong_keys", 1_000, "2, 3, 4, 5, 6 and 995 more")
    assert import_context(import_)["more_problems"] == 0


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


@pytest.mark.parametrize("container", ["jsonl", "csv.gz", "zip of parquet"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_page_says_what_is_wrong_and_where(project, manager, fault, container, tmp_path):
    bad, data = spoiled(fault, "trl_explicit", container)
    if bad is None:
        return
    path = tmp_path / "brought"
    path.write_bytes(data)
    client = Client()
    client.force_login(manager)
    with path.open("rb") as file:
        answer = client.post(reverse("labeling:import-new", args=["pairs"]), {"file": file, "pairs": "all"})
    import_ = finish_job(Import.objects.get())
    assert answer["Location"] == reverse("labeling:import-detail", args=["pairs", import_.uid])
    group = ProblemGroup.from_json(import_.problems[0])
    assert group.first.code in bad.codes
    page = client.get(answer["Location"]).content.decode()
    for words in ("Nothing was imported.", group.where, group.first.message, group.first.hint):
        assert escape(words) in page
    client.post(reverse("labeling:import-confirm", args=["pairs", import_.uid]))
    import_.refresh_from_db()
    assert import_.state == ImportState.REFUSED
    assert_nothing_was_imported()


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"%PDF-1.7 a report, say", "foreign_format", "PDF file"),
        (b"\n\n  \n", "empty_file", "holds no rows"),
    ],
)
def test_a_file_of_another_kind_and_blank_lines_are_refused(bring, data, code, words):
    import_ = bring(data)
    assert import_run(import_) is None
    problem = ImportProblem.from_json(import_.problems[0])
    assert (problem.code, problem.line) == (code, 1)
    assert words in problem.message
    assert_nothing_was_imported()
