"""Each layout's rows, what it cannot hold, and that this is counted."""

from __future__ import annotations

import csv
import io
import json

import pyarrow.parquet as pq
import pytest
from django.core.exceptions import ValidationError

from labeling.exporting import export_manifest, export_open, read_options
from labeling.exporting.layouts import LAYOUTS
from labeling.hashing import prompt_hash
from labeling.snapshots import read_snapshot
from tests.labeling.exporting.builders import (
    SHAPES,
    SINGLE,
    SYSTEM,
    TOOL,
    TURNS,
    decided,
    export,
    lines,
    ranked_prompt,
    settle,
    shaped_project,
    sides,
)
from tests.labeling.resolution.builders import make_comparison, make_labeler, make_project, make_prompt, vote

pytestmark = pytest.mark.django_db


@pytest.fixture
def snapshot():
    return settle(shaped_project())


def left_out(snapshot, **options) -> dict[str, int]:
    found: dict[str, int] = export_manifest(snapshot, read_options(options))["rows"]["left_out"]
    return found


def of(snapshot, messages):
    """Chosen and rejected of the decided comparison under this prompt."""
    (row,) = [row for row in decided(snapshot) if row.messages == messages]
    return sides(row)


def test_the_pairs_and_ties_of_the_fixture(snapshot):
    assert [row.messages for row in decided(snapshot)] == list(SHAPES)
    assert [row.outcome for row in read_snapshot(snapshot)].count("tie") == len(SHAPES)


def test_ms_swift_with_two_conversations(snapshot):
    for row, messages in zip(lines(snapshot, layout="ms-swift-messages"), SHAPES, strict=True):
        chosen, rejected = of(snapshot, messages)
        assert row == {
            "messages": [*messages, {"role": "assistant", "content": chosen}],
            "rejected_messages": [*messages, {"role": "assistant", "content": rejected}],
        }


def test_alpaca_has_the_system_prompt_and_the_history_apart(snapshot):
    single, turns, system = lines(snapshot, layout="llamafactory-alpaca")
    assert (single["instruction"], single["history"], single["system"]) == (SINGLE[0]["content"], [], "")
    assert turns["history"] == [["Hi", "Hello!"]]
    assert turns["instruction"] == "What is 2 + 2?"
    assert (system["system"], system["instruction"]) == ("Be brief.", "Name a river.")
    assert (system["chosen"], system["rejected"]) == of(snapshot, SYSTEM)
    assert all(row["input"] == "" for row in (single, turns, system))
    assert left_out(snapshot, layout="llamafactory-alpaca") == {"both_bad": 1, "not_alternating": 1, "tie": 4}


def test_sharegpt_names_people_tools_and_the_assistant(snapshot):
    _single, turns, system, tool = lines(snapshot, layout="llamafactory-sharegpt")
    assert [turn["from"] for turn in turns["conversations"]] == ["human", "gpt", "human"]
    assert (system["system"], len(system["conversations"])) == ("Be brief.", 1)
    assert [turn["from"] for turn in tool["conversations"]] == ["human", "gpt", "observation"]
    chosen, rejected = of(snapshot, TOOL)
    assert tool["chosen"] == {"from": "gpt", "value": chosen}
    assert tool["rejected"] == {"from": "gpt", "value": rejected}


def test_conversations_that_do_not_take_turns_are_left_out_and_counted():
    project = make_project()
    for messages in (SINGLE * 2, [*TURNS, {"role": "assistant", "content": "4"}], [SINGLE[0], *SYSTEM]):
        prompt = make_prompt(project, messages=messages)
        vote(make_comparison(prompt), make_labeler(project), "a", strength=1)
    odd = settle(project)
    for layout in ("llamafactory-alpaca", "llamafactory-sharegpt"):
        assert lines(odd, layout=layout) == []
        assert left_out(odd, layout=layout) == {"not_alternating": 3}
    assert len(lines(odd, layout="xtuner")) == 3


@pytest.mark.parametrize("layout", ["kto", "llamafactory-kto"])
def test_unpaired_layouts_keep_the_two_rows_of_a_pair_together(snapshot, layout):
    rows = lines(snapshot, layout=layout, both_bad="keep")
    assert [row["label"] for row in rows] == [True, False] * len(SHAPES) + [False, False]
    for (good, bad), messages in zip(zip(rows[::2], rows[1::2], strict=True), SHAPES, strict=False):
        texts = [(row.get("completion") or row["messages"])[-1]["content"] for row in (good, bad)]
        assert tuple(texts) == of(snapshot, messages)
        assert (good.get("prompt") or good["messages"][:-1]) == messages


def test_openrlhf_has_the_keys_that_were_chosen(snapshot):
    rows = lines(snapshot, layout="openrlhf", keys="question, better,worse", margin="strength")
    assert [list(row) for row in rows] == [["question", "better", "worse", "margin"]] * 4
    assert [row["margin"] for row in rows] == [1.0, 2.0, 3.0, 4.0]
    plain = lines(snapshot, layout="openrlhf", text="plain")
    assert plain == [
        dict(
            zip(("prompt", "chosen", "rejected"), (SINGLE[0]["content"], *of(snapshot, SINGLE)), strict=True)
        )
    ]
    parquet = io.BytesIO(export(snapshot, layout="openrlhf", keys="q,x,y", format="parquet"))
    assert pq.read_schema(parquet).names == ["q", "x", "y"]


@pytest.mark.parametrize(
    "keys", ["a,b", "a,a,b", "a,b,margin", "a b,c,d", "a,b,c,d", "a,b," + "c" * 41, "é,b,c"]
)
def test_keys_that_cannot_be_are_refused(keys):
    with pytest.raises(ValidationError) as caught:
        read_options({"layout": "openrlhf", "keys": keys})
    assert list(caught.value.message_dict) == ["keys"]


def test_xtuner_and_rm_finetuning(snapshot):
    for row, tuned, messages in zip(
        lines(snapshot, layout="xtuner"), lines(snapshot, layout="rm-finetuning"), SHAPES, strict=True
    ):
        chosen, rejected = of(snapshot, messages)
        assert row["prompt"] == messages
        assert [row[key][0]["content"] for key in ("chosen", "rejected")] == [chosen, rejected]
        *before, last = tuned["messages"]
        assert before == [{"role": m["role"], "value": m["content"]} for m in messages]
        assert last == {"role": "assistant", "chosen_value": chosen, "rejected_value": rejected}


def test_transcripts_leave_out_what_a_reader_would_split(snapshot):
    rows = lines(snapshot, layout="hh")
    chosen, rejected = of(snapshot, TURNS)
    assert rows[1] == {
        "chosen": f"\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: What is 2 + 2?\n\nAssistant: {chosen}",
        "rejected": f"\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: What is 2 + 2?\n\nAssistant: {rejected}",
    }
    assert left_out(snapshot, layout="hh") == {"both_bad": 1, "needs_message_lists": 2, "tie": 4}
    project = make_project()
    marked = make_comparison(make_prompt(project, "Go on"), "Yes.\n\nHuman: And?", "No.")
    vote(marked, make_labeler(project), "a")
    odd = settle(project)
    assert left_out(odd, layout="hh") == {"turn_marks_in_text": 1}
    assert left_out(odd, layout="trl-implicit", text="plain") == {"turn_marks_in_text": 1}


def test_ultrafeedback_scores_are_votes_or_strengths(snapshot):
    (row,) = lines(snapshot, layout="ultrafeedback")
    assert row["prompt"] == SINGLE[0]["content"]
    assert [row[key][-1]["content"] for key in ("chosen", "rejected")] == list(of(snapshot, SINGLE))
    assert row["chosen"][:-1] == row["rejected"][:-1] == SINGLE
    assert (row["score_chosen"], row["score_rejected"]) == (1.0, 0.0)
    (row,) = lines(snapshot, layout="ultrafeedback", margin="strength")
    assert (row["score_chosen"], row["score_rejected"]) == (2.0, 1.0)  # the person gave it strength 1
    coin = lines(snapshot, layout="ultrafeedback", ties="coin")[1]
    assert (coin["score_chosen"], coin["score_rejected"]) == (0.5, 0.5)


def test_cvalues_and_rewardbench_hold_one_question(snapshot):
    chosen, rejected = of(snapshot, SINGLE)
    question = SINGLE[0]["content"]
    assert lines(snapshot, layout="cvalues") == [
        {"prompt": question, "pos_resp": chosen, "neg_resp": rejected}
    ]
    (row,) = lines(snapshot, layout="rewardbench")
    assert (row["prompt"], row["chosen"], row["rejected"], row["subset"]) == (
        question,
        chosen,
        rejected,
        "topic 0",
    )
    assert {row["chosen_model"], row["rejected_model"]} == {"model-one", "model-two"}
    assert row["id"] == decided(snapshot)[0].comparison_id
    for layout in ("cvalues", "rewardbench"):
        assert left_out(snapshot, layout=layout)["needs_message_lists"] == 3


def test_votes_name_people_where_that_is_asked_for(snapshot):
    rows = lines(snapshot, layout="votes", labelers="names")
    assert len(rows) == snapshot.row_count
    said = {"annotator": "Zoe", "value": decided(snapshot)[0].outcome, "strength": 1, "reason": None}
    assert rows[0]["votes"] == [said]
    assert {vote["value"] for vote in rows[-1]["votes"]} == {"both_bad"}
    assert "Zoe" not in json.dumps(lines(snapshot, layout="votes"))
    assert {row["group"] for row in rows} == {""}
    assert prompt_hash(SINGLE) == decided(snapshot)[0].group


@pytest.fixture
def ranked():
    """Prompts with three responses: in order, in order by neighbours alone, in a circle, with a gap, tied, one pair."""
    project = make_project()
    person = make_labeler(project)
    for number, wins in enumerate(
        (("BC", "AB", "AC"), ("AB", "BC"), ("AB", "BC", "CA"), ("AB", "AC"), ("AB", "AC", "B=C"), ("AB",))
    ):
        ranked_prompt(project, person, wins, text=f"Case {number}?", topic="maths")
    return settle(project)


def test_ranked_lists_exist_where_one_order_exists(ranked):
    rows = lines(ranked, layout="ranked")
    assert [(row["instruction"], row["output"]) for row in rows] == [
        ("Case 0?", ["best", "good", "poor"]),
        ("Case 1?", ["best", "good", "poor"]),
        ("Case 5?", ["best", "good"]),
    ]
    # Counted by comparison: the circle's three, the gap's two, and of the tied prompt the tie and the two others.
    assert left_out(ranked, layout="ranked") == {"incomplete_ranking": 4, "not_transitive": 3, "tie": 1}
    assert export_manifest(ranked, read_options({"layout": "ranked"}))["rows"]["read"] == ranked.row_count


def test_rewardbench_2_needs_the_best_against_each_other_one(ranked):
    rows = {row["prompt"]: row for row in lines(ranked, layout="rewardbench2")}
    assert set(rows) == {"Case 0?", "Case 3?", "Case 4?", "Case 5?"}
    assert rows["Case 3?"] == {
        "id": rows["Case 3?"]["id"],
        "prompt": "Case 3?",
        "chosen": ["best"],
        "rejected": ["good", "poor"],
        "num_correct": 1,
        "num_incorrect": 2,
        "total_completions": 3,
        "models": ["model-A", "model-B", "model-C"],
        "subset": "maths",
    }
    assert left_out(ranked, layout="rewardbench2") == {"incomplete_ranking": 2, "not_transitive": 3, "tie": 1}


def test_two_unbeaten_responses_are_both_correct():
    project = make_project()
    ranked_prompt(project, make_labeler(project), ("AC", "BC"), text="Which?")
    (row,) = lines(settle(project), layout="rewardbench2")
    assert (sorted(row["chosen"]), row["rejected"], row["num_correct"]) == (["best", "good"], ["poor"], 2)


def test_equal_texts_have_no_rank():
    project = make_project()
    same = {"A": "best", "B": "good", "C": "good"}
    ranked_prompt(project, make_labeler(project), ("AB", "AC", "BC"), texts=same)
    found = settle(project)
    assert lines(found, layout="ranked") == []
    assert left_out(found, layout="ranked") == {"equal_texts": 3}


def test_rows_of_a_prompt_are_gathered_wherever_they_stand(ranked, monkeypatch):
    """A prompt that begins first and ends last is written last, with all its rows, whatever the batches."""
    project = make_project()
    person = make_labeler(project)
    first = ranked_prompt(project, person, ("AB",), text="First?")
    ranked_prompt(project, person, ("AB", "BC"), text="Between?")
    a, b = first.responses.order_by("pk")[:2]
    best = first.responses.create(text="even better", model_name="", content_hash="0" * 64)
    for worse in (a, b):
        late = first.comparisons.create(project=project, response_a=best, response_b=worse)
        vote(late, person, "a")
    found = settle(project)
    rows = lines(found, layout="ranked")
    assert [(row["instruction"], len(row["output"])) for row in rows] == [("Between?", 3), ("First?", 3)]
    assert rows[1]["output"][0] == "even better"
    monkeypatch.setattr("labeling.exporting.stream.BATCH", 1)
    assert lines(found, layout="ranked") == rows


def test_the_preview_is_the_start_of_the_file(snapshot, ranked):
    for source, layout in ((snapshot, "hh"), (snapshot, "kto"), (ranked, "ranked"), (ranked, "rewardbench2")):
        stream = export_open(source, read_options({"layout": layout}))
        assert stream.preview(rows=3, looked_at=200) == lines(source, layout=layout)[:3]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("text", ["messages", "plain"])
def test_parquet_and_csv_hold_the_rows_of_jsonl(snapshot, ranked, layout, text):
    source = ranked if LAYOUTS[layout].kind == "prompts" else snapshot
    options = {"layout": layout, "text": text}
    rows = lines(source, **options)
    assert rows
    table = pq.read_table(io.BytesIO(export(source, format="parquet", **options)))
    assert [_without_nulls(row) for row in table.to_pylist()] == [_without_nulls(row) for row in rows]
    assert set(rows[0]) == set(table.schema.names)
    cells = csv.reader(io.StringIO(export(source, format="csv", **options).decode()))
    assert next(cells) == table.schema.names


def _without_nulls(value):
    """JSON objects leave out what they do not have; Parquet's columns hold null there."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_policy_that_a_layout_cannot_hold_is_refused_by_its_field(layout):
    kind, margin = LAYOUTS[layout].kind, LAYOUTS[layout].margin
    refusals = {
        "ties": ({"ties": "keep"}, kind != "whole"),
        "both_bad": ({"both_bad": "keep"}, kind not in ("whole", "unpaired")),
        "margin": ({"margin": "votes"}, margin == "none"),
        "keys": ({"keys": "a,b,c"}, layout != "openrlhf"),
    }
    for field, (options, is_refused) in refusals.items():
        if is_refused:
            with pytest.raises(ValidationError) as caught:
                read_options({"layout": layout, **options})
            assert list(caught.value.message_dict) == [field]
        else:
            assert read_options({"layout": layout, **options}).layout == layout
