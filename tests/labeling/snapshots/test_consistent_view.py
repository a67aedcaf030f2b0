"""A snapshot sees one moment, holds up no writer, and its job survives being run twice."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
from django.db import connection, connections, transaction
from django.utils.connection import ConnectionDoesNotExist

from labeling.models import Preference, Snapshot, SnapshotState
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import SnapshotConfig, read_snapshot
from labeling.snapshots.source import SnapshotSource, consistent_view
from labeling.snapshots.splits import Splitter
from tests.labeling.resolution.builders import (
    labeled_project,
    make_comparison,
    make_labeler,
    make_prompt,
    make_user,
    vote,
)
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job, JobState

pytestmark = pytest.mark.django_db(transaction=True)


def in_another_thread(work) -> None:
    """Run `work` on a connection of its own, and raise here what it raised there."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            problems.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=30)
    assert not thread.is_alive()
    if problems:
        raise problems[0]


def test_labels_given_while_rows_are_read_are_not_in_them(monkeypatch):
    monkeypatch.setattr("labeling.snapshots.source.CHUNK", 2)
    project = labeled_project(8, outcomes="a", labelers=1)
    labeler = make_labeler(project, "late")
    last = Preference.objects.filter(project=project).latest("pk")

    def label_all_and_add_one() -> None:
        for preference in list(Preference.objects.filter(project=project)):
            vote(preference.comparison, labeler, "b")
        vote(make_comparison(make_prompt(project)), labeler, "b")

    with consistent_view() as using:
        assert using != "default"
        source = SnapshotSource(project, SnapshotConfig(), using)
        with closing(source.rows(Splitter(0, SnapshotConfig().fractions))) as rows:
            found = [next(rows)]
            in_another_thread(label_all_and_add_one)  # also: the open view holds up no writer
            found += list(rows)
    assert source.up_to == last.pk
    assert len(found) == 8
    assert {row.votes for row in found} == {1}
    with pytest.raises(ConnectionDoesNotExist):
        connections[using]


def test_a_preference_that_commits_late_with_a_smaller_id_makes_it_stale(client):
    """On PostgreSQL ids are given out before the commit: here one is taken, the snapshot made, then used."""
    project = labeled_project(4, outcomes="a", labelers=1)
    vote(make_comparison(make_prompt(project)), make_labeler(project, "gone"), "b")
    hidden = Preference.objects.filter(project=project).latest("pk")
    values = {field.attname: getattr(hidden, field.attname) for field in Preference._meta.concrete_fields}
    hidden.delete()
    vote(make_comparison(make_prompt(project)), make_labeler(project, "early"), "a")
    snapshot = snapshot_build(snapshot_create(project=project, enqueue=False))
    assert not snapshot.stale
    assert values["id"] < snapshot.last_preference_id
    Preference.objects.create(**values)
    assert snapshot.stale
    client.force_login(make_user(project))
    [listed] = client.get(f"/api/v1/projects/{project.slug}/snapshots").json()["results"]
    assert listed["stale"] is True


@pytest.mark.postgres
def test_a_transaction_open_across_the_snapshot_is_seen_as_newer():
    project = labeled_project(4, outcomes="a", labelers=1)
    pairs = [make_comparison(make_prompt(project)) for _ in range(2)]
    slow, fast = make_labeler(project, "slow"), make_labeler(project, "fast")
    made: list[Snapshot] = []

    def vote_and_build() -> None:
        vote(pairs[1], fast, "a")
        made.append(snapshot_build(snapshot_create(project=project, enqueue=False)))
        assert not made[0].stale

    with transaction.atomic():
        early = vote(pairs[0], slow, "a")
        in_another_thread(vote_and_build)
    assert early.pk < made[0].last_preference_id
    assert made[0].stale


def test_the_view_is_closed_after_an_error():
    with pytest.raises(KeyError), consistent_view():
        raise KeyError("stop")
    with consistent_view() as using:
        assert Preference.objects.using(using).count() == 0


def test_the_job_makes_the_file_and_says_what_is_in_it():
    project = labeled_project(6)
    snapshot = snapshot_create(project=project)
    job = run_inline(Job.objects.get(uid=snapshot.job_uid))
    snapshot.refresh_from_db()
    assert (job.state, snapshot.state) == (JobState.DONE, SnapshotState.READY)
    assert job.result["content_hash"] == snapshot.content_hash
    assert job.result["rows"] == len(list(read_snapshot(snapshot))) == 6


def test_a_cancelled_job_leaves_a_failed_snapshot():
    from webapp.jobs.services import job_cancel

    snapshot = snapshot_create(project=labeled_project(2))
    job_cancel(Job.objects.get(uid=snapshot.job_uid))
    assert Snapshot.objects.get(pk=snapshot.pk).state == SnapshotState.FAILED


def test_a_job_whose_snapshot_is_gone_fails_at_once():
    snapshot = snapshot_create(project=labeled_project(2))
    Snapshot.objects.all().delete()
    job = run_inline(Job.objects.get(uid=snapshot.job_uid))
    assert job.state == JobState.FAILED
    assert "deleted" in str(job.error)
