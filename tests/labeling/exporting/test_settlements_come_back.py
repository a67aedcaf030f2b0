"""A reviewer's word comes back as it was, also against the votes; what else settled a row is told before the import."""

from __future__ import annotations

from collections import Counter

import pytest
from django.urls import reverse

from labeling.importing.options import ImportOptions
from labeling.importing.services import import_check, import_create, import_run
from labeling.importing.uploads import upload_store
from labeling.models import Adjudication, Comparison, Import, Project, Resolution, ResolutionRule
from labeling.services.adjudication import adjudicate, adjudication_withdraw
from labeling.snapshots import read_snapshot
from tests.labeling.equality import assert_same_labels, labels_of_project, labels_of_snapshot
from tests.labeling.exporting.builders import brought, export, settle
from tests.labeling.exporting.test_round_trip import without_ids
from tests.labeling.importing.helpers import jsonl, scan_bytes
from tests.labeling.resolution.builders import (
    make_comparison,
    make_labeler,
    make_project,
    make_prompt,
    make_user,
    vote,
)

pytestmark = pytest.mark.django_db
ROW = {"prompt": "p", "response_a": "x", "response_b": "y", "votes": [{"annotator": "Ann", "value": "b"}]}
DECIDED = ROW | {"settled_by": "adjudication", "outcome": "a", "strength": 3}


def said_by_reviewer(comparison, outcome, strength=None) -> None:
    adjudicate(
        comparison=comparison,
        reviewer=make_user(comparison.project),
        outcome=outcome,
        strength=strength,
        reason="I looked it up.",
        key=f"k{comparison.pk}",
    )


@pytest.fixture
def reviewed() -> Project:
    """Five comparisons with the votes b, b, a: settled by them, against them with each outcome; and one of a reviewer's
    word alone."""
    project = make_project()
    people = [make_labeler(project, name) for name in ("Ann", "Bob", "Cy")]
    for outcome, strength in ((None, None), ("a", 3), ("a", None), ("tie", None), ("both_bad", None)):
        comparison = make_comparison(make_prompt(project))
        for person, voted in zip(people, "bba", strict=True):
            vote(comparison, person, voted, strength=1)
        if outcome:
            said_by_reviewer(comparison, outcome, strength)
    said_by_reviewer(make_comparison(make_prompt(project)), "b", 4)
    return project


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("layout", ["votes", "chosen"])
def test_what_a_reviewer_settled_comes_back_settled(reviewed, layout, form):
    there = settle(reviewed)
    project = brought(export(there, layout=layout, labelers="names", format=form))
    back = settle(project)
    one, other = (labels_of_snapshot(read_snapshot(snapshot)) for snapshot in (there, back))
    assert_same_labels(one, other)
    assert_same_labels(labels_of_project(reviewed), labels_of_project(project))
    assert Counter(row.settled_by for row in read_snapshot(back)) == {"votes": 1, "adjudication": 5}
    rows = {name: export(one, layout="votes", labelers="names") for name, one in (("t", there), ("b", back))}
    assert without_ids(rows["t"]) == without_ids(rows["b"])
    assert not Comparison.objects.filter(project=project).exclude(state="done", open_slots=0).exists()


def imported(project: Project, *rows, name: str = "ours.jsonl", **fields) -> Import:
    import_ = import_create(
        project=project,
        file_name=name,
        stored=upload_store([jsonl(list(rows))]),
        options=ImportOptions(),
        enqueue=False,
        **fields,
    )
    import_run(import_)
    return import_


def settled_as(project: Project) -> list[tuple[str, str, float | None]]:
    rows = Resolution.objects.filter(project=project).order_by("comparison_id")
    rows = rows.select_related("comparison__response_a", "comparison__response_b")
    return [
        (
            {"a": row.comparison.response_a.text, "b": row.comparison.response_b.text}.get(
                row.outcome, row.outcome
            ),
            row.method,
            row.strength,
        )
        for row in rows
    ]


def test_who_imports_is_the_reviewer_and_the_reason_names_the_file():
    project, other = make_project(), make_project()
    manager = make_user(project)
    manager.language = "zh-hans"
    manager.save()
    import_ = imported(project, DECIDED, created_by=manager)
    [row] = Adjudication.objects.all()
    assert "审核员" in row.reason
    assert (row.reviewer, row.strength) == (manager, 3)
    assert "ours.jsonl" in row.reason
    assert import_.counts["adjudicated"] == import_.counts["written"]["adjudicated"] == 1
    assert settled_as(project) == [("x", "adjudicated", 3)]
    imported(other, DECIDED, created_by=manager)  # the same file and person, elsewhere
    assert settled_as(other) == [("x", "adjudicated", 3)]


def test_the_same_file_again_settles_nothing_again_nor_what_was_taken_back():
    project = make_project()
    imported(project, DECIDED, ROW | {"prompt": "q"})
    before = settled_as(project)
    again = imported(project, DECIDED, ROW | {"prompt": "q"}, name="renamed.jsonl")
    assert (again.counts["written"]["adjudicated"], settled_as(project)) == (0, before)
    adjudication_withdraw(
        comparison=Adjudication.objects.get().comparison, reviewer=make_user(project), reason="No.", key="w"
    )
    imported(project, DECIDED)
    assert Adjudication.objects.count() == 2
    assert settled_as(project) == [("y", "majority", None)] * 2


@pytest.mark.parametrize("rule", [ResolutionRule.MAJORITY, ResolutionRule.RELIABILITY])
def test_a_comparison_that_was_there_is_settled_unless_a_reviewer_or_its_end_was_before(rule):
    project = make_project(resolution_rule=rule)
    prompts = [{"prompt": text} for text in "pqr"]
    imported(project, *(ROW | prompt for prompt in prompts))
    own, retired, left = Comparison.objects.order_by("pk")
    side = "a" if own.response_a.text == "y" else "b"
    said_by_reviewer(own, side, 1)
    Comparison.objects.filter(pk=retired.pk).update(state="retired")
    turned = {"response_a": "y", "response_b": "x", "votes": [], "outcome": "b"}
    import_ = imported(project, *(DECIDED | turned | prompt for prompt in prompts))
    assert import_.counts["written"]["adjudicated"] == 1
    assert [settled_as(project)[place][:2] for place in range(3)] == [
        ("y", "adjudicated"),
        ("y", "majority"),
        ("x", "adjudicated"),
    ]
    left.refresh_from_db()
    assert (left.state, left.label_count, left.resolution.votes_a + left.resolution.votes_b) == ("done", 1, 1)


@pytest.mark.parametrize("use", ["gold", "qualification"])
def test_what_checks_on_people_goes_on_to_be_handed_out(use):
    project = make_project()
    imported(project, ROW | {"votes": []})
    Comparison.objects.update(use=use, gold_outcome="a")
    imported(project, DECIDED | {"votes": []})
    check = Comparison.objects.get()
    assert (check.state, check.open_slots > 0, check.resolution.method) == ("open", True, "adjudicated")


def test_what_else_settled_rows_is_counted_and_told_before_the_import(client):
    project = make_project("told")
    manager = make_user(project)
    anew = [ROW | {"prompt": by, "settled_by": by, "outcome": "a"} for by in ("reliability", "judges")]
    decided = [DECIDED | {"id": outcome, "outcome": outcome} for outcome in ("a", "b", "tie", "both_bad")]
    import_ = import_create(
        project=project,
        file_name="ours.jsonl",
        stored=upload_store([jsonl([*anew, *decided, ROW | {"prompt": "q", "settled_by": "votes"}])]),
        enqueue=False,
    )
    import_check(import_)
    assert (import_.counts["settled_anew"], import_.counts["adjudicated"]) == (2, 4)
    client.force_login(manager)
    page = client.get(reverse("labeling:import-detail", args=["told", import_.uid])).content.decode()
    assert "2 comparisons were settled by reliabilities or by judges where the file is from." in page
    for said in ("1", "2", "tie", "both bad"):
        assert f"settled by a reviewer: {said}<" in page


@pytest.mark.parametrize(
    ("said", "code", "path"),
    [
        ({"settled_by": "a coin"}, "unknown_outcome", "settled_by"),
        ({"outcome": None}, "wrong_type", "outcome"),
        ({"outcome": "x"}, "unknown_outcome", "outcome"),
        ({"strength": 2.5}, "unknown_strength", "strength"),
    ],
)
def test_a_bad_settlement_is_named(said, code, path):
    records, [problem] = scan_bytes(jsonl([DECIDED | said]))
    assert (records, problem.code, problem.params["path"]) == ([], code, path)
