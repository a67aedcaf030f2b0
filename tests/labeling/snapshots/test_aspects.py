"""What labelers say by aspect travels into snapshots; snapshots from before are read, and hashed, as they were."""

from __future__ import annotations

import hashlib
import json

import orjson
import pyarrow.parquet as pq
import pytest

from labeling.exporting import export_open, read_options
from labeling.models import Assignment, Labeler, LabelerKind, Preference, Project, Snapshot
from labeling.services.allocation import lease_next
from labeling.services.preferences import preference_submit, preference_undo
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import SnapshotRow, read_snapshot
from labeling.snapshots.files import snapshot_path
from labeling.snapshots.rows import FIELDS, YOUNGER, ContentHash
from tests.labeling.label.factories import make_labeler, make_project
from tests.labeling.resolution.builders import labeled_project

pytestmark = pytest.mark.django_db

SCHEME = {"aspects": [{"key": "safe", "name": "Safe"}, {"key": "文风", "name": "文风"}]}


def build(project: Project, **config: object) -> Snapshot:
    return snapshot_build(snapshot_create(project=project, config=config, enqueue=False))


def say(labeler: Labeler, outcome: str, **aspects: str) -> Assignment:
    """Label the next comparison as on its page; aspects are said of the responses: a, b or same. Every second labeler
    has response_b on the left."""
    lease = lease_next(labeler)[0]
    lease.swapped = bool(labeler.pk % 2)
    lease.save(update_fields=["swapped"])
    shown = {"a": "right", "b": "left"} if lease.swapped else {"a": "left", "b": "right"}
    choice = {"left": "2", "right": "7"}[shown[outcome]] if outcome in shown else outcome
    data = {"choice": choice, "aspects": {key: shown.get(side, side) for key, side in aspects.items()}}
    preference_submit(assignment=lease, data=data, idempotency_key=f"{labeler.pk}-{lease.pk}")
    return lease


def labeled(*said: tuple[str, dict[str, str]]) -> Project:
    """One comparison, labeled by one person for each entry."""
    project = make_project(1, overlap=len(said), scheme=SCHEME)
    for outcome, aspects in said:
        say(make_labeler(project), outcome, **aspects)
    return project


def test_votes_by_aspect_are_pooled_against_the_responses():
    project = labeled(
        ("a", {"safe": "b", "文风": "a"}),
        ("b", {"safe": "b"}),
        ("tie", {"safe": "same"}),
        ("both_bad", {"safe": "a"}),
        ("a", {}),
    )
    assert len({row.shown_left_id for row in Preference.objects.all()}) == 2
    [row] = read_snapshot(build(project))
    assert (row.votes, row.outcome) == (5, "a")
    assert row.aspects == [
        {"aspect": "safe", "votes_a": 1, "votes_b": 2, "votes_tie": 1},
        {"aspect": "文风", "votes_a": 1, "votes_b": 0, "votes_tie": 0},
    ]


def test_the_last_revision_counts_and_an_undone_one_does_not():
    project = make_project(1, overlap=3, scheme=SCHEME)
    first, second, third = (make_labeler(project) for _ in range(3))
    say(first, "a", safe="a")
    lease, undone = say(second, "a", safe="a"), say(third, "a", safe="a")
    preference_undo(assignment=undone, idempotency_key="undo")
    changed = {"choice": "tie", "aspects": {"safe": "same"}}
    preference_submit(assignment=lease, data=changed, idempotency_key="again", is_change=True)
    [row] = read_snapshot(build(project))
    assert row.aspects == [{"aspect": "safe", "votes_a": 1, "votes_b": 0, "votes_tie": 1}]


def test_kinds_that_do_not_count_and_aspects_that_are_asked_no_more():
    project = labeled(("a", {"safe": "a"}), ("a", {"safe": "b"}))
    Labeler.objects.filter(project=project, pk=project.labelers.first().pk).update(kind=LabelerKind.SIMULATED)
    Project.objects.filter(pk=project.pk).update(scheme={})
    [people] = read_snapshot(build(project, labeler_kinds=["member"]))
    assert people.aspects == [{"aspect": "safe", "votes_a": 0, "votes_b": 1, "votes_tie": 0}]


def without_aspects(row: SnapshotRow) -> bytes:
    """A canonical line as it was before snapshots had aspects."""
    values = {name: value for name, value in row.as_dict().items() if name not in YOUNGER}
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS) + b"\n"


def test_rows_without_aspects_have_the_hash_that_they_had_before():
    snapshot = build(labeled_project(5))
    before = hashlib.sha256(b"".join(map(without_aspects, read_snapshot(snapshot)))).hexdigest()
    assert snapshot.content_hash == before
    said = build(labeled(("a", {"safe": "a"})))
    other = ContentHash()
    for row in read_snapshot(said):
        other.add(row)
        assert hashlib.sha256(without_aspects(row)).hexdigest() != said.content_hash
    assert other.hexdigest() == said.content_hash


def test_a_snapshot_from_before_is_read_as_it_was_written():
    snapshot = build(labeled_project(6, outcomes="abtx"))
    rows = list(read_snapshot(snapshot))
    path = snapshot_path(snapshot)
    table = pq.read_table(path, partitioning=None).drop_columns(["aspects"])
    path.chmod(0o644)
    pq.write_table(table, path)
    snapshot.file_hash = hashlib.sha256(path.read_bytes()).hexdigest()
    snapshot.save()
    assert list(read_snapshot(snapshot)) == rows
    assert [row.aspects for row in read_snapshot(snapshot, columns=["aspects"])] == [[]] * 6
    assert len(list(read_snapshot(snapshot, columns=["aspects"], splits=["train"]))) == sum(
        row.split == "train" for row in rows
    )
    content = ContentHash()
    for row in read_snapshot(snapshot):
        content.add(row)
    assert content.hexdigest() == snapshot.content_hash


def test_exports_have_the_columns_that_they_had(tmp_path):
    snapshot = build(labeled(("a", {"safe": "a"})))
    for options in ({"layout": "chosen"}, {"layout": "trl-explicit"}, {"layout": "kto"}):
        [*lines] = b"".join(export_open(snapshot, read_options(options))).splitlines()
        assert lines
        assert all("aspects" not in json.loads(line) for line in lines)
    path = tmp_path / "whole.parquet"
    path.write_bytes(b"".join(export_open(snapshot, read_options({"layout": "chosen", "format": "parquet"}))))
    assert tuple(pq.read_schema(path).names) == tuple(name for name in FIELDS if name != "aspects")
