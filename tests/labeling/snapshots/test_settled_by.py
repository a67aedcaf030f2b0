"""What a row says beside its votes: where its texts are from, who settled it, how reliably, and what judges say."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labeling.models import Labeler, Project, ReliabilityFit, Resolution, Response, Voice
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import SnapshotConfigError, SnapshotRow, read_config, read_snapshot
from labeling.snapshots.files import snapshot_path
from labeling.snapshots.rows import YOUNGER, ContentHash
from labeling.snapshots.weights import weights_of
from tests.labeling.exporting.builders import export, lines
from tests.labeling.resolution.builders import (
    labeled_project,
    make_comparison,
    make_labeler,
    make_project,
    make_prompt,
    vote,
)

pytestmark = pytest.mark.django_db


def rows(project: Project, **config: object) -> list[SnapshotRow]:
    return list(read_snapshot(snapshot_build(snapshot_create(project=project, config=config, enqueue=False))))


def voice(comparison, outcome, p_a=None, *, kind="judge", name="Judge v1"):
    return Voice.objects.create(
        project_id=comparison.project_id,
        comparison=comparison,
        kind=kind,
        source=f"{kind} {name}",
        name=name,
        outcome=outcome,
        p_a=p_a,
    )


@pytest.fixture
def judged():
    """Five comparisons: one that a person settled against a judge, two that judges alone settle, one on which judges
    differ, one whose verdict could not be read."""
    project = make_project()
    made = [make_comparison(make_prompt(project)) for _number in range(5)]
    vote(made[0], make_labeler(project), "a")
    voice(made[0], "b", 0.1)
    voice(made[0], "b", 0.3, kind="model", name="v7")
    voice(made[1], "a", 0.9)
    voice(made[1], "a", None, name="Strict v2")
    voice(made[1], "b", 0.2, kind="model", name="v7")
    voice(made[2], "tie")
    voice(made[3], "a", 0.9)
    voice(made[3], "b", 0.2, name="Strict v2")
    voice(made[4], "")
    return project


def test_verdicts_are_no_part_of_a_snapshot_unless_asked_for(judged):
    [row] = rows(judged)
    assert (row.outcome, row.settled_by, row.voices) == ("a", "votes", [])


def test_voices_stand_beside_the_labels_and_settle_nothing(judged):
    [row] = rows(judged, include_verdicts=True)
    assert (row.outcome, row.p_a, row.settled_by) == ("a", 1.0, "votes")
    assert row.voices == [
        {"kind": "judge", "name": "Judge v1", "outcome": "b", "p_a": 0.1},
        {"kind": "model", "name": "v7", "outcome": "b", "p_a": 0.3},
    ]


def test_judges_that_agree_settle_what_nobody_voted_on(judged):
    person, decided, tied = rows(judged, include_judge_rows=True)
    assert person.settled_by == "votes"
    assert (decided.outcome, decided.settled_by, decided.votes) == ("a", "judges", 0)
    assert decided.p_a == pytest.approx((0.9 + 1.0) / 2)
    assert (tied.outcome, tied.p_a, tied.settled_by) == ("tie", 0.5, "judges")
    assert decided.voices == []  # these are asked for apart
    assert [row.outcome for row in rows(judged, include_judge_rows=True, include_ties=False)] == ["a", "a"]


def test_too_few_votes_do_not_hand_a_comparison_to_the_judges(judged):
    found = rows(judged, include_judge_rows=True, min_labels=2)
    assert [row.settled_by for row in found] == ["judges", "judges"]
    assert [row.outcome for row in found] == ["a", "tie"]


def test_exports_leave_out_what_judges_settled_and_all_voices(judged):
    snapshot = snapshot_build(
        snapshot_create(
            project=judged,
            config={"include_verdicts": True, "include_judge_rows": True},
            enqueue=False,
        )
    )
    assert len(lines(snapshot)) == 2
    assert len(lines(snapshot, verdicts="out")) == 1
    everything = lines(snapshot, layout="chosen")
    assert [row["settled_by"] for row in everything] == ["votes", "judges", "judges"]
    assert [len(row["voices"]) for row in everything] == [2, 3, 1]
    [alone] = lines(snapshot, layout="chosen", verdicts="out")
    assert alone["voices"] == []
    assert pq.read_table(pa.BufferReader(export(snapshot, layout="chosen", format="parquet"))).num_rows == 3


@pytest.fixture
def rewritten():
    """A comparison as imported, and one of a response with its rewrite."""
    project = make_project()
    person, prompt = make_labeler(project), make_prompt(project)
    vote(make_comparison(prompt, "one", "two"), person, "a")
    better = make_comparison(prompt, "draft", "the draft, mended")
    Response.objects.filter(text="the draft, mended").update(
        parent=Response.objects.get(text="draft"), author=person
    )
    vote(better, person, "a" if better.response_a.text != "draft" else "b")
    return project


def test_rewrites_are_marked_and_go_in_out_or_alone(rewritten):
    assert [row.origin for row in rows(rewritten)] == ["import", "rewrite"]
    assert [row.origin for row in rows(rewritten, include_rewrites=False)] == ["import"]
    snapshot = snapshot_build(snapshot_create(project=rewritten, enqueue=False))
    assert len(lines(snapshot)) == 2
    [left] = lines(snapshot, rewrites="out", text="plain")
    [only] = lines(snapshot, rewrites="only", text="plain")
    assert {left["chosen"], left["rejected"]} == {"one", "two"}
    assert (only["chosen"], only["rejected"]) == ("the draft, mended", "draft")
    assert [row["origin"] for row in lines(snapshot, layout="chosen", rewrites="only")] == ["rewrite"]


def test_an_adjudication_settles_and_says_so():
    project = make_project()
    comparison = make_comparison(make_prompt(project))
    vote(comparison, make_labeler(project), "a")
    Resolution.objects.create(
        comparison=comparison, project=project, outcome="b", p_a=0.0, strength=3, method="adjudicated"
    )
    [row] = rows(project, min_labels=5)
    assert (row.outcome, row.p_a, row.strength, row.settled_by, row.weight) == (
        "b",
        0.0,
        3.0,
        "adjudication",
        1.0,
    )


def test_a_resolution_by_reliability_counts_where_everybody_does():
    project = make_project()
    comparison = make_comparison(make_prompt(project))
    for outcome in "aab":
        vote(comparison, make_labeler(project), outcome)
    Resolution.objects.create(
        comparison=comparison, project=project, outcome="b", p_a=0.2, method="reliability"
    )
    [row] = rows(project)
    assert (row.outcome, row.p_a, row.settled_by) == ("b", 0.2, "reliability")
    [row] = rows(project, labeler_kinds=["imported"])
    assert (row.outcome, row.settled_by) == ("a", "votes")


def fit(project: Project, people: dict[Labeler, float]) -> ReliabilityFit:
    """People who are right that often, and else spread over the three other outcomes."""
    return ReliabilityFit.objects.create(
        project=project,
        prior=[0.25] * 4,
        log_likelihood=-1.0,
        people={
            str(person.uid): {
                "n": 50,
                "accuracy": right,
                "confusion": (np.eye(4) * (right - (1 - right) / 3) + (1 - right) / 3).tolist(),
            }
            for person, right in people.items()
        },
    )


def test_weights_are_the_mean_reliability_of_those_who_voted():
    project = make_project()
    good, guesses, unknown = (make_labeler(project) for _number in range(3))
    fit(project, {good: 0.1, guesses: 0.1})  # an older one
    fit(project, {good: 0.85, guesses: 0.25})
    for people in ((good,), (good, guesses), (good, unknown)):
        comparison = make_comparison(make_prompt(project))
        for person in people:
            vote(comparison, person, "a")
    assert [row.weight for row in rows(project)] == [1.0, 1.0, 1.0]
    # (0.85 − ¼) / (1 − ¼); a guesser has the least there is; the mean person is right in 0.55 of the cases.
    weighed = [row.weight for row in rows(project, weights="reliability")]
    assert weighed == pytest.approx([0.8, (0.8 + 0.05) / 2, (0.8 + 0.4) / 2], abs=1e-4)


def test_without_a_fit_all_weigh_the_same():
    project = labeled_project(2)
    assert weights_of(project) == {}
    assert {row.weight for row in rows(project, weights="reliability")} == {1.0}


def test_equal_labels_keep_the_hash_that_they_had_before_these_columns():
    plain = rows(labeled_project(4))
    old = ContentHash()
    for row in plain:
        old.add(row)
    assert set(YOUNGER) == {
        "aspects", "origin", "weight", "settled_by", "voices", "aspect_votes", "explanations", "rewritten",
    }  # fmt: skip
    written = [{k: v for k, v in row.as_dict().items() if k not in YOUNGER} for row in plain]
    text = "".join(
        json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n" for row in written
    )
    assert old.hexdigest() == hashlib.sha256(text.encode()).hexdigest()


def test_a_file_from_before_these_columns_is_read_with_their_defaults():
    snapshot = snapshot_build(snapshot_create(project=labeled_project(3), enqueue=False))
    path = snapshot_path(snapshot)
    before = list(read_snapshot(snapshot))
    table = pq.read_table(path).drop_columns([*YOUNGER])
    path.unlink()
    pq.write_table(table, path)
    snapshot.file_hash = hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(read_snapshot(snapshot)) == before
    assert [row["origin"] for row in lines(snapshot, layout="chosen")] == ["import"] * 3


@pytest.mark.parametrize(
    "config",
    [{"weights": "gold"}, {"include_rewrites": "yes"}, {"include_verdicts": 1}, {"include_judge_rows": None}],
)
def test_bad_settings_are_refused_by_name(config):
    with pytest.raises(SnapshotConfigError, match=next(iter(config))):
        read_config(config)


def test_the_dataset_card_says_what_judges_settled(judged):
    config = {"include_judge_rows": True, "fractions": {"train": 1.0}}
    snapshot = snapshot_build(snapshot_create(project=judged, config=config, enqueue=False))

    def card(**options: str) -> str:
        archive = zipfile.ZipFile(io.BytesIO(export(snapshot, format="dataset", **options)))
        return archive.read("README.md").decode()

    assert "settled by language models that judged them and all agree, without a vote: 2." in card()
    assert "1 of the 3 comparisons were labeled by one person alone." in card()
    assert "language models that judged" not in card(verdicts="out")
