"""What leaves comes back: exported, imported into another project, the same labels.

`LOST` says for each layout what it cannot carry; a fact that is not named there must come back unchanged.
"""

from __future__ import annotations

import gzip

import pytest

from labeling.exporting.layouts import LAYOUTS
from labeling.hashing import response_hash
from labeling.snapshots import read_snapshot
from tests.labeling.equality import (
    Labels,
    assert_same_labels,
    assert_same_order_of_strengths,
    label,
    labels_of_project,
    labels_of_snapshot,
)
from tests.labeling.exporting.builders import (
    brought,
    decided,
    export,
    ranked_prompt,
    settle,
    shaped_project,
)
from tests.labeling.resolution.builders import make_comparison, make_labeler, make_project, make_prompt, vote

pytestmark = pytest.mark.django_db

PAIRS = ("labeler", "models", "ties")
# (layout, texts, options, lost facts, roles that the layout can hold in a prompt; None: one question alone)
ANY = {"system", "user", "assistant", "tool"}
TURNS = {"user", "assistant"}
LOST = [
    ("trl-explicit", "messages", {"margin": "strength"}, PAIRS, ANY),
    ("trl-explicit", "plain", {}, (*PAIRS, "strength"), None),
    ("trl-implicit", "messages", {"margin": "strength"}, PAIRS, ANY),
    ("trl-implicit", "plain", {}, (*PAIRS, "strength"), TURNS),
    ("openrlhf", "messages", {"margin": "strength"}, PAIRS, ANY),
    ("xtuner", "messages", {}, (*PAIRS, "strength"), ANY),
    ("hh", "messages", {}, (*PAIRS, "strength"), TURNS),
    ("ultrafeedback", "messages", {}, (*PAIRS, "strength"), None),
    ("ultrafeedback", "messages", {"margin": "strength"}, PAIRS, None),
    ("rewardbench", "messages", {}, ("labeler", "ties", "strength"), None),
    ("openrlhf", "plain", {}, (*PAIRS, "strength"), None),
    ("ms-swift", "messages", {"margin": "strength"}, PAIRS, {"system", *TURNS}),
    ("ms-swift-messages", "messages", {"margin": "strength"}, PAIRS, ANY),
    ("cvalues", "messages", {}, (*PAIRS, "strength"), None),
    ("rm-finetuning", "messages", {}, (*PAIRS, "strength"), ANY),
    ("llamafactory-alpaca", "messages", {}, (*PAIRS, "strength"), {"system", *TURNS}),
    ("llamafactory-sharegpt", "messages", {}, (*PAIRS, "strength"), ANY),
    ("kto", "messages", {}, (*PAIRS, "strength"), ANY),
    ("kto", "plain", {}, (*PAIRS, "strength"), None),
    ("llamafactory-kto", "messages", {}, (*PAIRS, "strength"), ANY),
]
ELSEWHERE = {"votes", "chosen", "ranked", "rewardbench2"}


def test_every_layout_is_among_them():
    assert {layout for layout, *_rest in LOST} | ELSEWHERE == set(LAYOUTS)


@pytest.mark.parametrize(("layout", "text", "options", "lost", "roles"), LOST)
def test_pairs_come_back(layout, text, options, lost, roles):
    snapshot = settle(shaped_project())
    data = export(snapshot, layout=layout, text=text, **options)
    held = [
        row
        for row in decided(snapshot)
        if (len(row.messages) == 1 if roles is None else {m["role"] for m in row.messages} <= roles)
    ]
    back = brought(gzip.compress(data))
    assert_same_labels(labels_of_snapshot(held), labels_of_project(back), without=lost)


@pytest.mark.parametrize("layout", ["votes", "chosen"])
@pytest.mark.parametrize("labelers", ["names", "pseudonyms"])
def test_layouts_with_all_votes_bring_people_strengths_ties_and_models_back(layout, labelers):
    project = shaped_project()
    data = export(settle(project), layout=layout, labelers=labelers)
    lost = () if labelers == "names" else ("labeler",)
    assert_same_labels(labels_of_project(project), labels_of_project(brought(data)), without=lost)


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize("layout", ["votes", "chosen", "trl-explicit", "llamafactory-sharegpt", "kto"])
def test_other_file_formats_come_back_as_well(layout, form):
    """Texts that a spreadsheet would run as a formula among them: the mark before them is taken off again."""
    project = shaped_project()
    prompt = make_prompt(project, "=1+1")
    vote(make_comparison(prompt, "@SUM(A1)", "'-' is a dash"), make_labeler(project, "+Ann"), "a", strength=4)
    snapshot = settle(project)
    whole = layout in ("votes", "chosen")
    options = {"labelers": "names"} if whole else {"text": "plain"} if layout == "kto" else {}
    there = brought(export(snapshot, layout=layout, **options))
    back = brought(export(snapshot, layout=layout, format=form, **options))
    assert_same_labels(
        labels_of_project(there), labels_of_project(back), without=() if whole else ("labeler",)
    )


def test_the_export_of_everything_comes_back_with_its_splits_and_no_other_facts():
    """What is a project's own (ids, counts, shares) stays behind; held-out rows stay held out."""
    project = make_project()
    for number in range(12):
        prompt = make_prompt(project, f"Question {number}", topic="rivers")
        vote(make_comparison(prompt), make_labeler(project), "a")
    snapshot = settle(project)
    splits = {row.messages[-1]["content"]: row.split for row in read_snapshot(snapshot)}
    back = brought(export(snapshot, layout="chosen")).prompts.all()
    assert {prompt.messages[-1]["content"]: prompt.metadata for prompt in back} == {
        text: {"split": split} for text, split in splits.items()
    }
    assert {prompt.topic for prompt in back} == {"rivers"}


def test_the_best_of_several_comes_back_against_each_of_the_others():
    """RewardBench 2 says nothing of the order of the others."""
    project = make_project()
    person = make_labeler(project)
    ranked_prompt(project, person, ("AB", "AC", "BC"), text="How?", topic="maths")
    said = labels_of_project(project)
    data = export(settle(project), layout="rewardbench2")
    back = brought(data)
    best = response_hash("best")
    kept = Labels({entry: count for entry, count in said.items() if best in entry.responses})
    assert len(kept) == 2
    assert_same_labels(kept, labels_of_project(back), without=("labeler", "models", "strength"))
    assert back.prompts.get().topic == "maths"


def test_groups_topics_and_languages_come_back_with_the_votes():
    project = make_project()
    prompt = make_prompt(project, "Where?", group="geography", topic="rivers", language="en")
    vote(make_comparison(prompt), make_labeler(project), "a")
    back = brought(export(settle(project), layout="votes")).prompts.get()
    assert (back.group, back.topic, back.language) == ("geography", "rivers", "en")


def test_votes_as_plain_texts_come_back_for_single_questions():
    project = shaped_project()
    data = export(settle(project), layout="votes", labelers="names", text="plain")
    single = set(labels_of_project(brought(data)))
    assert single < set(labels_of_project(project))
    assert len(single) == 4  # one decided, two of the tie, one of both bad


def test_ranked_lists_come_back_with_every_pair():
    project = make_project()
    person = make_labeler(project)
    ranked_prompt(project, person, ("AB", "AC", "BC"), text="How?")
    data = export(settle(project), layout="ranked")
    lost = ("labeler", "models", "strength")
    assert_same_labels(labels_of_project(project), labels_of_project(brought(data)), without=lost)


@pytest.mark.parametrize("strengths", [(1, 1), (1, None), (None, None), (4, 2, None)])
@pytest.mark.parametrize("layout", ["trl-explicit", "ms-swift", "openrlhf", "ultrafeedback"])
def test_the_margin_strength_brings_strengths_back_and_none_where_none_was_given(layout, strengths):
    project = make_project()
    for strength in strengths:
        vote(make_comparison(make_prompt(project)), make_labeler(project), "a", strength=strength)
    snapshot = settle(project)
    back = labels_of_project(brought(export(snapshot, layout=layout, margin="strength")))
    assert_same_labels(labels_of_project(project), back, without=("labeler", "models"))
    if layout == "ultrafeedback":
        back = labels_of_project(brought(export(snapshot, layout=layout)))
        assert {entry.strength for entry in back} == {None}


def test_margins_of_votes_come_back_in_their_order():
    """A margin of 0 to 1 is read by quarters, so that the strength is another number, but never turned round."""
    project = make_project()
    people = [make_labeler(project) for _number in range(5)]
    for agreeing in (3, 4, 5):
        comparison = make_comparison(make_prompt(project))
        for number, person in enumerate(people):
            vote(comparison, person, "a" if number < agreeing else "b")
    snapshot = settle(project)
    back = labels_of_project(brought(export(snapshot, margin="votes")))
    said: Labels = Labels(
        entry._replace(strength=abs(2 * row.p_a - 1), labeler="", models=("", ""))
        for row in decided(snapshot)
        for entry in labels_of_snapshot([row])
    )
    assert_same_order_of_strengths(said, Labels(entry._replace(labeler="") for entry in back.elements()))


def _one(outcome: str = "a", strength: float | None = 2, labeler: str = "w1") -> Labels:
    asked = [{"role": "user", "content": "Q"}]
    return Labels([label(asked, (("one", "m1"), ("two", "m2")), outcome, strength=strength, labeler=labeler)])


def test_equality_is_whichever_way_round_a_pair_stands():
    asked = [{"role": "user", "content": "Q"}]
    turned = label(asked, (("two", "m2"), ("one", "m1")), "b", strength=2, labeler="w1")
    assert_same_labels(_one(), Labels([turned]))


@pytest.mark.parametrize(
    ("other", "fact"),
    [
        (_one(outcome="b"), None),
        (_one(strength=3), "strength"),
        (_one(labeler="w2"), "labeler"),
        (Labels(), None),
    ],
)
def test_equality_sees_each_difference_unless_it_is_named(other, fact):
    with pytest.raises(AssertionError):
        assert_same_labels(_one(), other)
    if fact:
        assert_same_labels(_one(), other, without=(fact,))


def test_equality_counts_how_often():
    with pytest.raises(AssertionError, match="1 are only there"):
        assert_same_labels(_one(), _one() + _one())
    with pytest.raises(AssertionError, match="no labels"):
        assert_same_labels(_one("tie"), _one("tie"), without=("ties",))
