"""A judge trained from a snapshot's labels, as a job: made, measured on held-out labels, and asked."""

from __future__ import annotations

import random

import pytest

from judging.models import Judge, Verdict
from judging.selectors.report import judge_report, trained_on
from judging.selectors.selection import Selection
from judging.services.runs import run_start
from judging.services.training_start import judge_training_start
from labeling.services.resolution import resolve_comparisons
from labeling.services.snapshots import snapshot_build, snapshot_create
from tests.judging.factories import add_pair, make_project
from tests.judging.test_tiny_judge import pair
from tests.labeling.resolution.builders import make_labeler, vote
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job

pytestmark = pytest.mark.django_db


@pytest.fixture
def snapshot(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    project = make_project(0)
    labeler = make_labeler(project, "Ann")
    generator = random.Random(0)
    for _ in range(120):
        good, bad = pair(generator)
        if generator.random() < 0.5:
            vote(add_pair(project, good, bad), labeler, "a")
        else:
            vote(add_pair(project, bad, good), labeler, "b")
    resolve_comparisons(project.comparisons.values_list("pk", flat=True))
    config = {"fractions": {"train": 0.6, "validation": 0.2, "test": 0.2}}
    return snapshot_build(snapshot_create(project=project, config=config, enqueue=False))


def train(snapshot, name="Small"):
    job = judge_training_start(project=snapshot.project, name=name, snapshot=snapshot)
    return run_inline(job, reraise=True)


def test_from_labels_to_verdicts(snapshot):
    job = train(snapshot)
    assert job.state == "done"
    version = Judge.objects.get(name="Small").versions.get()
    assert (version.engine, version.template, version.was_trained_here) == ("local", "compact", True)
    trained = version.facts["trained"]
    assert trained["snapshot"] == snapshot.number
    assert trained["train_pairs"] == snapshot.split_counts["train"]
    assert trained["held_out"]["agreement"]["n"] == snapshot.split_counts["test"]
    assert trained["held_out"]["agreement"]["value"] > 0.9
    assert 0 <= trained["held_out"]["longest_wins"]["value"] <= 1

    run = run_start(version=version, selection=Selection("split", snapshot=snapshot.number, split="test"))
    run_inline(Job.objects.get(uid=run.job_uid), reraise=True)
    run.refresh_from_db()
    assert run.counts == {"ok": 2 * snapshot.split_counts["test"]}
    assert not Verdict.objects.filter(p_a=None).exists()
    report = judge_report(version)
    assert report.labeled == snapshot.split_counts["test"]
    assert report.agreement.value > 0.9
    assert report.position.consistency.value > 0.95


def test_its_training_comparisons_are_no_evidence(snapshot):
    train(snapshot)
    version = Judge.objects.get(name="Small").versions.get()
    run = run_start(version=version, selection=Selection("all"))
    run_inline(Job.objects.get(uid=run.job_uid), reraise=True)
    assert Verdict.objects.filter(order="ab").count() == 120
    assert len(trained_on(version)) == 120 - snapshot.split_counts["test"]
    assert judge_report(version).labeled == snapshot.split_counts["test"]


def test_a_folder_that_changed_is_not_asked(snapshot, settings):
    train(snapshot)
    version = Judge.objects.get(name="Small").versions.get()
    folder = settings.DATA_DIR / "judges" / version.model
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    run = run_start(version=version, selection=Selection("all"))
    job = run_inline(Job.objects.get(uid=run.job_uid))
    assert job.state == "failed"
    assert "changed" in str(job.error)
    assert not Verdict.objects.exists()


def test_too_few_labels_are_said_so(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    project = make_project(3)
    snapshot = snapshot_build(snapshot_create(project=project, config={}, enqueue=False))
    job = run_inline(judge_training_start(project=project, name="Small", snapshot=snapshot))
    assert job.state == "failed"
    assert "Not enough labels" in str(job.error)
    assert not Judge.objects.exists()
