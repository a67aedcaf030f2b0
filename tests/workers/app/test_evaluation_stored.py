"""What is kept of an evaluation: its row and its file together, and the one on more pairs."""

from __future__ import annotations

import pytest

from tests.workers.app.conftest import FAST, Trained
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job
from workers.models import Evaluation, EvaluationScores, RewardModel
from workers.reward.measure import read_reports, report_path
from workers.services import evaluating, stages
from workers.services.evaluating import evaluation_start
from workers.services.held_out import held_out
from workers.services.training import training_start

pytestmark = pytest.mark.django_db


def test_without_its_file_an_evaluation_is_not_kept(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = RewardModel.objects.get(project=trained.project)
    Evaluation.objects.all().delete()

    def full(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(evaluating, "write_report", full)
    job = evaluation_start(model=model, snapshot=model.snapshot)
    with pytest.raises(OSError, match="the disk is full"):
        run_inline(Job.objects.get(pk=job.pk), reraise=True)
    assert not Evaluation.objects.exists()


def gated_again(trained: Trained) -> None:
    run = training_start(project=trained.project, kind="starter", config=FAST, snapshot=trained.run.snapshot)
    run_inline(Job.objects.get(uid=run.job_uid), reraise=True)


def test_a_gate_on_fewer_pairs_leaves_the_champions_evaluation(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = RewardModel.objects.get(project=trained.project)
    before = Evaluation.objects.get(reward_model=champion)
    group = next(pair.group for pair in held_out(champion.snapshot))
    monkeypatch.setattr(stages, "seen_before", lambda *_: ({group}, []))
    gated_again(trained)
    candidate = Evaluation.objects.exclude(reward_model=champion).get()
    assert candidate.n < before.n
    after = Evaluation.objects.get(reward_model=champion)
    assert (after.n, after.report) == (before.n, before.report)
    assert len(EvaluationScores.objects.get(evaluation=after).comparison_ids) == before.n


def test_what_the_gate_measures_of_a_champion_is_kept_where_there_is_nothing(trained: Trained) -> None:
    champion = RewardModel.objects.get(project=trained.project)
    Evaluation.objects.all().delete()
    report_path(champion.folder).unlink()
    gated_again(trained)
    row = Evaluation.objects.get(reward_model=champion)
    assert read_reports(champion.folder)["snapshot 1, test"]["n"] == row.n > 0
