"""Policies beside the choice of the layout: ties as soft labels or as two good responses, system prompts."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest
from django.core.exceptions import ValidationError

from labeling.exporting import export_manifest, read_options
from labeling.exporting.layouts import LAYOUTS
from labeling.snapshots import read_snapshot
from tests.labeling.exporting.builders import (
    SINGLE,
    SYSTEM,
    TURNS,
    decided,
    export,
    lines,
    ranked_prompt,
    said,
    settle,
    shaped_project,
)
from tests.labeling.resolution.builders import make_comparison, make_labeler, make_project, make_prompt, vote

pytestmark = pytest.mark.django_db
TAKES_COLUMNS = [name for name, layout in LAYOUTS.items() if layout.margin == "column"]


@pytest.fixture
def voted():
    """One comparison each: two to one, one to one, two ties and one vote for "two", both bad."""
    project = make_project()
    people = [make_labeler(project) for _number in range(3)]
    for number, outcomes in enumerate(("one one two", "one two", "tie tie two", "both_bad")):
        prompt = make_prompt(project, f"Question {number}")
        comparison = make_comparison(prompt, f"one {number}", f"two {number}")
        sides = {comparison.response_a.text[:3]: "a", comparison.response_b.text[:3]: "b"}
        for person, said_so in zip(people, outcomes.split(), strict=False):
            vote(comparison, person, sides.get(said_so, said_so))
    return settle(project)


@pytest.mark.parametrize("layout", TAKES_COLUMNS)
def test_soft_labels_are_the_share_of_the_votes_for_chosen(voted, layout):
    rows = lines(voted, layout=layout, ties="soft", margin="votes")
    assert [row["p_chosen"] for row in rows] == pytest.approx([2 / 3, 1 / 2, 2 / 3])
    assert list(rows[0])[-2:] == ["margin", "p_chosen"]
    table = pq.read_table(io.BytesIO(export(voted, layout=layout, ties="soft", format="parquet")))
    assert table.schema.names[-1] == "p_chosen"


def test_a_soft_tie_names_who_has_more_votes_and_else_tosses_the_coin(voted):
    first, even, leaning = lines(voted, ties="soft", text="plain")
    assert first["chosen"] == "one 0"
    assert leaning["chosen"] == "two 2"
    assert even == lines(voted, ties="coin", text="plain")[1] | {"p_chosen": 0.5}


def test_the_reward_library_reads_soft_labels(voted, tmp_path):
    from workers.reward.files import read_pairs

    path = tmp_path / "pairs.jsonl"
    path.write_bytes(export(voted, ties="soft"))
    assert [pair.p_chosen for pair in read_pairs(path)] == pytest.approx([2 / 3, 1 / 2, 2 / 3])


@pytest.mark.parametrize("layout", ["kto", "llamafactory-kto"])
def test_ties_become_two_good_responses_and_both_bad_two_bad_ones(voted, layout):
    rows = lines(voted, layout=layout, ties="both_good", both_bad="keep")
    assert [row["label"] for row in rows] == [True, False, True, True, True, True, False, False]
    texts = [(row.get("completion") or row["messages"])[-1]["content"] for row in rows]
    assert [sorted(texts[place : place + 2]) for place in (2, 4, 6)] == [
        [f"one {number}", f"two {number}"] for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("system", "prompt"),
    [
        ("keep", SYSTEM),
        ("drop", said("user: Name a river.")),
        ("user", said("user: Be brief.\n\nName a river.")),
    ],
)
@pytest.mark.parametrize("layout", ["trl-explicit", "kto", "xtuner"])
def test_system_prompts_are_kept_left_out_or_moved(layout, system, prompt):
    snapshot = settle(shaped_project())
    rows = lines(snapshot, layout=layout, system=system)
    found = [row["prompt"] for row in rows]
    assert prompt in found
    assert SINGLE in found
    assert TURNS in found
    assert len({str(entry) for entry in found}) == 4
    assert len(rows) == len(lines(snapshot, layout=layout))


def test_without_a_system_prompt_a_question_fits_where_it_did_not():
    snapshot = settle(shaped_project())
    assert len(lines(snapshot, layout="cvalues")) == 1
    rows = lines(snapshot, layout="cvalues", system="user")
    assert [row["prompt"] for row in rows] == [SINGLE[0]["content"], "Be brief.\n\nName a river."]


def test_ranked_prompts_lose_their_system_prompt_too():
    project = make_project()
    ranked_prompt(project, make_labeler(project), ("AB", "BC"), messages=SYSTEM)
    (row,) = lines(settle(project), layout="ranked", system="user")
    assert (row["system"], row["instruction"]) == ("", "Be brief.\n\nName a river.")
    (row,) = lines(settle(project), layout="ranked", system="keep")
    assert (row["system"], row["instruction"]) == ("Be brief.", "Name a river.")


def test_a_prompt_of_a_system_message_alone_is_counted():
    project = make_project()
    prompt = make_prompt(project, messages=said("system: Say something."))
    vote(make_comparison(prompt), make_labeler(project), "a")
    snapshot = settle(project)
    assert len(lines(snapshot)) == 1
    assert lines(snapshot, system="drop") == []
    manifest = export_manifest(snapshot, read_options({"system": "drop"}))
    assert manifest["rows"]["left_out"] == {"no_user_turn": 1}
    assert manifest["options"]["system"] == "drop"


def test_policies_leave_decided_rows_as_they_are(voted):
    wanted = [row.comparison_id for row in decided(voted)]
    assert len(wanted) == 1
    assert lines(voted, ties="soft")[0] | {"p_chosen": None} == lines(voted)[0] | {"p_chosen": None}
    assert {row.outcome for row in read_snapshot(voted)} >= {"tie", "both_bad"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_policy_that_a_layout_cannot_hold_is_refused_by_its_field(layout):
    kind, margin = LAYOUTS[layout].kind, LAYOUTS[layout].margin
    for field, value, is_refused in (
        ("ties", "soft", margin != "column"),
        ("ties", "both_good", kind != "unpaired"),
        ("system", "drop", kind == "whole"),
    ):
        if not is_refused:
            assert getattr(read_options({"layout": layout, field: value}), field) == value
            continue
        with pytest.raises(ValidationError) as caught:
            read_options({"layout": layout, field: value})
        assert list(caught.value.message_dict) == [field]
