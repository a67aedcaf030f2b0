"""The export of everything brings back what no other layout holds: votes by aspect, why, and rewrites as rewrites."""

from __future__ import annotations

import pytest

from labeling.hashing import response_hash
from labeling.models import Comparison, Preference, Response
from labeling.services.allocation import lease_next
from labeling.snapshots import read_snapshot
from tests.labeling.equality import Labels, assert_same_labels, labels_of_project, reduced
from tests.labeling.exporting.builders import brought, export, lines, settle
from tests.labeling.importing.helpers import jsonl, scan_bytes
from tests.labeling.label import factories
from tests.labeling.resolution.builders import make_comparison, make_labeler, make_project, make_prompt, vote

pytestmark = pytest.mark.django_db


@pytest.fixture
def by_aspect():
    """Three comparisons: two people with aspects of every side and strength, one with a vote alone, one tie. One of
    them says why, with a passage of each response."""
    project = make_project()
    ann, bob = make_labeler(project, "Ann"), make_labeler(project, "Bob")
    for number in range(3):
        comparison = make_comparison(make_prompt(project), f"One {number}", f"Two {number}")
        said = {"safe": "ab"[number % 2], "clear": "tie", "short": "b"}
        spans = [
            {"response": comparison.response_a_id, "quote": "One", "nth": number, "reason": "=fact"},
            {"response": comparison.response_b_id, "quote": "Two, 二", "nth": 0, "reason": ""},
        ]
        why = {
            "rationale": f"因为 {number}",
            "reasons": ["=fact", "style"][:number],
            "spans": spans[number:] or None,
        }
        vote(comparison, ann, "a", strength=2, aspects=said, aspect_strengths={"safe": 4, "short": 1}, **why)
        vote(comparison, bob, "tie" if number == 1 else "b", aspects={"safe": "b"} if number else {})
    return project


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_votes_by_aspect_come_back_with_their_strengths_and_why(by_aspect, form):
    data = export(settle(by_aspect), layout="chosen", labelers="names", format=form)
    said = labels_of_project(by_aspect)
    assert sum(len(entry.aspects) for entry in said.elements()) == 11
    assert sorted(len(entry.why[2]) for entry in said.elements() if entry.why) == [0, 1, 2]
    assert_same_labels(said, labels_of_project(brought(data)))


def test_pseudonyms_stand_for_the_same_people_in_votes_by_aspect(by_aspect):
    snapshot = settle(by_aspect)
    for row in lines(snapshot, layout="chosen"):
        people = {vote["labeler"] for vote in row["annotators"]}
        assert {said["labeler"] for said in row["explanations"]} < people
        assert {vote["labeler"] for vote in row["aspect_votes"]} <= people
        assert not people & {"Ann", "Bob"}
    back = brought(export(snapshot, layout="chosen"))
    assert_same_labels(labels_of_project(by_aspect), labels_of_project(back), without=("labeler",))


def test_a_snapshot_of_what_came_back_says_the_same_by_aspect(by_aspect):
    there = settle(by_aspect)
    back = settle(brought(export(there, layout="chosen", labelers="names")))
    first, second = (
        [(row.aspects, row.aspect_votes, row.explanations) for row in read_snapshot(one)]
        for one in (there, back)
    )
    assert sorted(map(str, first)) == sorted(map(str, second))
    assert {vote["strength"] for _sums, votes, _why in second for vote in votes} == {None, 1, 4}
    assert all(len(why) == 1 for _sums, _votes, why in second)


WHOLE = {
    "prompt": "p", "response_a": "x", "response_b": "y",
    "annotators": [{"labeler": "Ann", "outcome": "a", "strength": 1}],
}  # fmt: skip
SPAN = {"response": "a", "quote": "x", "nth": 0, "reason": ""}


@pytest.mark.parametrize(
    ("said", "code", "path"),
    [
        ({"labeler": "Bob", "aspect": "safe", "outcome": "a"}, "unknown_labeler", "aspect_votes[0].labeler"),
        ({"labeler": "Ann", "aspect": " ", "outcome": "a"}, "empty_text", "aspect_votes[0].aspect"),
        (
            {"labeler": "Ann", "aspect": "safe", "outcome": "both_bad"},
            "unknown_outcome",
            "aspect_votes[0].outcome",
        ),
        (
            {"labeler": "Ann", "aspect": "safe", "outcome": "a", "strength": 5},
            "unknown_strength",
            "aspect_votes[0].strength",
        ),
        ({"labeler": "Ann", "aspect": "s" * 61, "outcome": "a"}, "label_too_long", "aspect_votes[0].aspect"),
        ("safe", "wrong_type", "aspect_votes[0]"),
    ],
)
def test_bad_votes_by_aspect_are_named(said, code, path):
    records, [problem] = scan_bytes(jsonl([WHOLE | {"aspect_votes": [said]}]))
    assert (records, problem.code, problem.params["path"]) == ([], code, path)
    assert problem.hint


@pytest.mark.parametrize(
    ("said", "code", "path"),
    [
        ({"labeler": "Bob"}, "unknown_labeler", "labeler"),
        ({"rationale": 5}, "wrong_type", "rationale"),
        ({"reasons": "fact"}, "wrong_type", "reasons"),
        ({"reasons": ["fact", " "]}, "empty_text", "reasons[1]"),
        ({"reasons": ["r" * 61]}, "label_too_long", "reasons[0]"),
        ({"spans": [SPAN] * 21}, "too_many", "spans"),
        ({"spans": [SPAN | {"response": "c"}]}, "unknown_outcome", "spans[0].response"),
        ({"spans": [SPAN | {"quote": ""}]}, "empty_text", "spans[0].quote"),
        ({"spans": [SPAN | {"quote": "q" * 501}]}, "label_too_long", "spans[0].quote"),
        ({"spans": [SPAN | {"nth": 1.5}]}, "bad_place", "spans[0].nth"),
        ({"spans": [SPAN | {"nth": -1}]}, "bad_place", "spans[0].nth"),
    ],
)
def test_bad_explanations_are_named(said, code, path):
    row = WHOLE | {"explanations": [{"labeler": "Ann"} | said]}
    records, [problem] = scan_bytes(jsonl([row]))
    assert (records, problem.code, problem.params["path"]) == ([], code, f"explanations[0].{path}")
    assert problem.hint


def test_votes_by_aspect_are_of_responses_whichever_way_round_a_row_stands():
    said = {"labeler": "Ann", "aspect": "safe", "outcome": "a", "strength": 3}
    why, because = ({"labeler": "Ann", "spans": [SPAN | {"response": name}]} for name in "ab")
    turned = WHOLE | {"response_a": "y", "response_b": "x"}
    turned["annotators"] = [{"labeler": "Ann", "outcome": "b", "strength": 1}]
    one = brought(jsonl([WHOLE | {"aspect_votes": [said], "explanations": [why]}]))
    other = brought(jsonl([turned | {"aspect_votes": [said | {"outcome": "b"}], "explanations": [because]}]))
    assert_same_labels(labels_of_project(one), labels_of_project(other))


@pytest.fixture
def rewritten():
    """A comparison that was voted on, and a rewrite of one of its responses by the same person."""
    project = make_project(overlap=2)
    ann = make_labeler(project, "Ann")
    comparison = make_comparison(make_prompt(project, "How?"), "First try", "Second try")
    vote(comparison, ann, "b")
    parent = Response.objects.get(text="First try")
    child = Response.objects.create(
        prompt=parent.prompt, text="Better", content_hash=response_hash("Better"), parent=parent, author=ann
    )
    a, b = sorted((parent, child), key=lambda row: row.content_hash)
    pair = Comparison.objects.create(
        project=project, prompt=parent.prompt, response_a=a, response_b=b,
        needed=0, open_slots=0, label_count=1, state="done",
    )  # fmt: skip
    vote(pair, ann, "a" if a == child else "b")
    return project


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_rewrite_comes_back_with_its_parent_and_author_and_is_asked_of_nobody(rewritten, form):
    snapshot = settle(rewritten)
    data = export(snapshot, layout="chosen", labelers="names", format=form)
    project = brought(data, into=make_project(overlap=2))
    assert_same_labels(labels_of_project(rewritten), labels_of_project(project))
    child = Response.objects.get(prompt__project=project, text="Better")
    assert (child.parent.text, child.author.name, child.author.project) == ("First try", "Ann", project)
    assert Response.objects.filter(prompt__project=project, parent=None).count() == 2
    both = ("Better", "First try")
    pair = project.comparisons.get(response_a__text__in=both, response_b__text__in=both)
    assert (pair.needed, pair.open_slots, pair.state, pair.label_count) == (0, 0, "done", 1)
    assert [lease.comparison_id for lease in lease_next(factories.make_labeler(project))] == [
        project.comparisons.exclude(pk=pair.pk).get().pk
    ]
    [there], [back] = (lines(one, rewrites="only") for one in (snapshot, settle(project)))
    assert there == back


@pytest.mark.parametrize("layout", ["trl-explicit", "votes", "ms-swift"])
def test_other_layouts_bring_a_rewrite_back_as_an_extra_pair_with_the_same_preference(rewritten, layout):
    options = {"labelers": "names"} if layout == "votes" else {}
    project = brought(export(settle(rewritten), layout=layout, **options), labeler="Ann")
    assert_same_labels(labels_of_project(rewritten), labels_of_project(project), without=("models",))
    assert not Response.objects.filter(prompt__project=project).exclude(parent=None).exists()


def test_a_response_that_was_there_before_is_no_rewrite(rewritten):
    data = export(settle(rewritten), layout="chosen", labelers="names")
    first = {"prompt": "How?", "response_a": "Better", "response_b": "Worse"}
    project = brought(jsonl([first]))
    assert Response.objects.filter(prompt__project=project).count() == 2
    rows = brought(jsonl([first]) + data)
    child = Response.objects.get(prompt__project=rows, text="Better")
    assert child.parent.text == "First try"  # one file says both
    again = brought(data, into=project)
    assert Response.objects.get(prompt__project=again, text="Better").parent is None
    said: Labels = reduced(labels_of_project(rewritten))
    assert_same_labels(said, labels_of_project(again))
    assert Preference.objects.filter(project=again).count() == 2
