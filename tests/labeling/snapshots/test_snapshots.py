"""Invariant 5: a snapshot never changes: same id, same bytes; same rows, same content hash."""

from __future__ import annotations

import hashlib
import secrets
import tracemalloc
from contextlib import contextmanager

import orjson
import pyarrow.parquet as pq
import pytest

from labeling.models import Comparison, LabelerKind, Preference, Prompt, Resolution, SnapshotState
from labeling.services.resolution import resolve_comparisons
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import (
    SnapshotConfigError,
    SnapshotCorruptError,
    SnapshotMissingError,
    SnapshotNotReadyError,
    read_config,
    read_snapshot,
)
from labeling.snapshots.files import RowsFile, iterate_rows, snapshot_path
from labeling.snapshots.rows import SCHEMA, YOUNGER, SnapshotRow
from tests.labeling.resolution.builders import (
    labeled_project,
    make_comparison,
    make_labeler,
    make_project,
    make_prompt,
    make_user,
    vote,
)
from webapp.jobs.models import Job

pytestmark = pytest.mark.django_db


def build(project, **config):
    return snapshot_build(snapshot_create(project=project, config=config, enqueue=False))


def resolve(project):
    resolve_comparisons(Comparison.objects.filter(project=project).values_list("pk", flat=True))


def test_a_row_holds_texts_votes_models_and_annotators():
    project = make_project()
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "你好？"}]
    prompt = make_prompt(project, messages=messages, language="zh", topic="greeting", group="g1")
    comparison = make_comparison(prompt, "你好！", "Hello!", models=("alpha", "beta"))
    for name, outcome, strength in [("Ann", "a", 3), ("Bo", "a", 2), ("Cy", "b", 1)]:
        vote(comparison, make_labeler(project, name), outcome, strength=strength)
    resolve(project)
    [row] = read_snapshot(build(project))
    assert row.messages == messages
    assert {row.response_a: row.model_a, row.response_b: row.model_b} == {"你好！": "alpha", "Hello!": "beta"}
    assert (row.response_a_id, row.response_b_id) == (comparison.response_a_id, comparison.response_b_id)
    assert (row.outcome, row.strength, row.votes_a, row.votes_b, row.is_disputed) == ("a", 2.5, 2, 1, True)
    assert row.p_a == pytest.approx(2 / 3)
    assert (row.language, row.topic, row.group, row.split) == ("zh", "greeting", "g1", "train")
    assert row.annotators[2] == {"labeler": "Cy", "outcome": "b", "strength": 1}
    assert row.agreement == pytest.approx(2 / 3)


def test_two_people_of_one_name_are_two_in_every_row():
    project = make_project()
    prompt = make_prompt(project)
    ann = make_labeler(project, "Ann")
    other = make_labeler(project, "Ann", kind=LabelerKind.SIMULATED)
    make_labeler(project, "Ann (2)")  # a name of somebody's own stays
    for texts, outcomes in ((("x", "y"), "ab"), (("v", "w"), " b")):
        comparison = make_comparison(prompt, *texts)
        for labeler, outcome in zip((ann, other), outcomes, strict=True):
            if outcome.strip():
                vote(comparison, labeler, outcome)
    resolve(project)
    both, second = read_snapshot(build(project))
    assert [(v["labeler"], v["outcome"]) for v in both.annotators] == [("Ann", "a"), ("Ann (3)", "b")]
    assert [(v["labeler"], v["outcome"]) for v in second.annotators] == [("Ann (3)", "b")]


def test_a_label_edited_later_leaves_the_snapshot_as_it_was():
    project = labeled_project(6)
    snapshot = build(project)
    path = snapshot_path(snapshot)
    before, rows = path.read_bytes(), list(read_snapshot(snapshot))
    assert not snapshot.stale
    edited = Preference.objects.filter(project=project).first()
    vote(edited.comparison, edited.labeler, "tie")
    resolve(project)
    assert path.read_bytes() == before
    assert list(read_snapshot(snapshot)) == rows
    assert snapshot.stale
    assert build(project).content_hash != snapshot.content_hash


def test_the_same_labels_give_the_same_hashes():
    project = labeled_project(8, outcomes="abtx")
    one, two = build(project), build(project)
    assert (one.number, two.number) == (1, 2)
    assert one.content_hash == two.content_hash
    assert one.file_hash == two.file_hash
    assert build(project, seed=9, fractions={"train": 0.5, "test": 0.5}).content_hash != one.content_hash


def test_the_content_hash_is_over_canonical_json_lines():
    snapshot = build(labeled_project(5))
    rows = [
        {name: value for name, value in row.as_dict().items() if name not in YOUNGER}  # all at their defaults
        for row in read_snapshot(snapshot)
    ]
    lines = b"".join(orjson.dumps(row, option=orjson.OPT_SORT_KEYS) + b"\n" for row in rows)
    assert snapshot.content_hash == hashlib.sha256(lines).hexdigest()
    assert snapshot.file_hash == hashlib.sha256(snapshot_path(snapshot).read_bytes()).hexdigest()
    assert snapshot.row_count == 5 == sum(snapshot.split_counts.values())


def test_building_again_returns_the_ready_one_untouched():
    snapshot = build(labeled_project(3))
    modified = snapshot_path(snapshot).stat().st_mtime_ns
    assert snapshot_build(snapshot).file_hash == snapshot.file_hash
    assert snapshot_path(snapshot).stat().st_mtime_ns == modified


def test_a_refused_worker_leaves_no_file():
    snapshot = snapshot_create(project=labeled_project(3), enqueue=False)

    @contextmanager
    def refuse():
        raise RuntimeError("another worker holds the job")
        yield

    with pytest.raises(RuntimeError, match="another worker"):
        snapshot_build(snapshot, guard=refuse)
    snapshot.refresh_from_db()
    assert snapshot.state == SnapshotState.MAKING
    assert list(snapshot_path(snapshot).parent.iterdir()) == []


def test_progress_may_stop_it():
    snapshot = snapshot_create(project=labeled_project(3), enqueue=False)
    import labeling.services.snapshots as services

    services_every, services.PROGRESS_EVERY = services.PROGRESS_EVERY, 1
    try:
        with pytest.raises(KeyboardInterrupt):
            snapshot_build(snapshot, progress=lambda done, total: (_ for _ in ()).throw(KeyboardInterrupt))
    finally:
        services.PROGRESS_EVERY = services_every
    assert list(snapshot_path(snapshot).parent.iterdir()) == []


@pytest.mark.parametrize("harm", ["flip", "cut", "empty"])
def test_a_harmed_file_is_refused(harm):
    snapshot = build(labeled_project(4))
    path = snapshot_path(snapshot)
    data = bytearray(path.read_bytes())
    path.chmod(0o644)
    if harm == "flip":
        data[len(data) // 2] ^= 1
    path.write_bytes({"flip": data, "cut": data[:-20], "empty": b""}[harm])
    with pytest.raises(SnapshotCorruptError, match="has changed"):
        next(read_snapshot(snapshot))


def test_a_missing_file_and_an_unfinished_snapshot_are_told_apart():
    project = labeled_project(3)
    snapshot = build(project)
    snapshot_path(snapshot).unlink()
    with pytest.raises(SnapshotMissingError):
        next(read_snapshot(snapshot))
    with pytest.raises(SnapshotNotReadyError):
        next(read_snapshot(snapshot_create(project=project, enqueue=False)))


def test_reading_by_split_and_column():
    snapshot = build(labeled_project(40), fractions={"train": 0.5, "validation": 0.25, "test": 0.25})
    everything = list(read_snapshot(snapshot))
    test = list(read_snapshot(snapshot, splits=["test"], columns=["comparison_id", "p_a"]))
    assert 0 < len(test) == snapshot.split_counts["test"]
    assert [row.comparison_id for row in test] == [
        row.comparison_id for row in everything if row.split == "test"
    ]
    assert {row.response_a for row in test} == {""}
    with pytest.raises(ValueError, match="unknown column"):
        read_snapshot(snapshot, columns=["nothing"])
    with pytest.raises(ValueError, match="unknown split"):
        read_snapshot(snapshot, splits=["dev"])


def test_row_groups_stay_small(monkeypatch):
    monkeypatch.setattr("labeling.snapshots.files.GROUP_ROWS", 4)
    monkeypatch.setattr("labeling.snapshots.source.CHUNK", 3)
    snapshot = build(labeled_project(10))
    parquet = pq.ParquetFile(snapshot_path(snapshot))
    assert [parquet.metadata.row_group(index).num_rows for index in range(parquet.num_row_groups)] == [
        4,
        4,
        2,
    ]
    ids = [row.comparison_id for row in read_snapshot(snapshot)]
    assert ids == sorted(ids)
    assert len(ids) == 10


def test_reading_holds_a_few_groups_and_not_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("labeling.snapshots.files.GROUP_ROWS", 10)
    with RowsFile(tmp_path / "rows.parquet", SCHEMA) as writer:
        for number in range(400):
            row = SnapshotRow(comparison_id=number, response_a=secrets.token_urlsafe(12_000))
            writer.put(row.as_dict(), size=0)
        writer.finish()
        writer.publish()
    size = (tmp_path / "rows.parquet").stat().st_size
    with (tmp_path / "rows.parquet").open("rb") as file:
        tracemalloc.start()
        assert sum(1 for _row in iterate_rows(file, columns=("response_a",), batch=10)) == 400
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < size / 3


def test_what_the_settings_leave_out():
    project = labeled_project(8, labelers=2, outcomes="aattxx")
    assert build(project).row_count == 8
    outcomes = {row.outcome for row in read_snapshot(build(project, include_ties=False))}
    assert "tie" not in outcomes
    assert "both_bad" not in {row.outcome for row in read_snapshot(build(project, include_both_bad=False))}
    assert build(project, min_labels=3).row_count == 0


def test_votes_of_kinds_that_are_left_out_do_not_count():
    project = make_project()
    comparison = make_comparison(make_prompt(project))
    vote(comparison, make_labeler(project, "person"), "a")
    for _ in range(2):
        vote(comparison, make_labeler(project, kind=LabelerKind.SIMULATED), "b")
    resolve(project)
    [everyone] = read_snapshot(build(project))
    [people] = read_snapshot(build(project, labeler_kinds=["member", "imported"]))
    assert (everyone.outcome, people.outcome) == ("b", "a")
    assert build(project, labeler_kinds=["member"]).row_count == 0


def test_an_adjudicated_comparison_keeps_its_outcome_and_needs_no_votes():
    project = make_project()
    comparison = make_comparison(make_prompt(project))
    vote(comparison, make_labeler(project), "a")
    settled = {"comparison": comparison, "project": project, "method": "adjudicated"}
    Resolution.objects.create(outcome="b", p_a=0.0, **settled)
    [row] = read_snapshot(build(project, min_labels=2))
    assert (row.outcome, row.p_a, row.votes_a) == ("b", 0.0, 1)


def test_retired_comparisons_are_left_out_unless_asked_for():
    project = labeled_project(3)
    Comparison.objects.filter(pk=Comparison.objects.filter(project=project).first().pk).update(
        state="retired"
    )
    assert build(project).row_count == 2
    assert build(project, include_retired=True).row_count == 3


def test_prompts_of_a_held_out_file_are_test_and_take_their_group_along():
    project = labeled_project(30)
    prompts = list(Prompt.objects.filter(project=project))
    for prompt in prompts[:6]:
        prompt.group = "shared"
        prompt.metadata = {"split": "test"} if prompt is prompts[0] else {}
        prompt.save()
    rows = list(read_snapshot(build(project, fractions={"train": 0.9, "validation": 0.1})))
    assert {row.split for row in rows if row.group == "shared"} == {"test"}
    assert {row.split for row in rows if row.group != "shared"} <= {"train", "validation"}
    by_name = build(project, test_groups=[prompts[20].content_hash], fractions={"train": 1.0})
    held_out = {row.prompt_id for row in read_snapshot(by_name, splits=["test"])}
    assert held_out == {prompt.pk for prompt in [*prompts[:6], prompts[20]]}


def test_an_empty_project_gives_an_empty_snapshot():
    snapshot = build(make_project())
    assert (snapshot.row_count, snapshot.state) == (0, SnapshotState.READY)
    assert list(read_snapshot(snapshot)) == []


def test_create_numbers_them_and_enqueues_the_job():
    project = labeled_project(2)
    user = make_user(project)
    snapshot = snapshot_create(project=project, config={"min_labels": 2}, created_by=user)
    job = Job.objects.get(uid=snapshot.job_uid)
    assert (job.kind, job.params, job.project_id) == (
        "snapshot.make",
        {"snapshot_id": snapshot.pk},
        project.pk,
    )
    assert snapshot_create(project=project).number == snapshot.number + 1
    assert snapshot.config["min_labels"] == 2


def test_bad_settings_are_all_named():
    with pytest.raises(SnapshotConfigError) as caught:
        read_config(
            {"min_labels": 0, "fractions": {"train": 2}, "labeler_kinds": [], "colour": 1, "seed": True}
        )
    text = " ".join(caught.value.messages)
    for name in ("min_labels", "fractions", "labeler_kinds", "colour", "seed"):
        assert name in text
