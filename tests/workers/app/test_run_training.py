"""A run from labels to a scored queue, with the starter, in one process."""

from __future__ import annotations

import pytest

from labeling.models import Comparison, Response
from tests.workers.app.world import World
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job, JobState
from workers.models import GateDecision, ModelState, RewardModel, RunState, Score, TrainingRun
from workers.services.training import training_start

FAST = {"heads": 4, "hash_bits": 12, "regularisation": [1e-3, 1e-2], "folds": 3}


def train(world: World, **options: object) -> TrainingRun:
    run = training_start(project=world.project, kind="starter", config=FAST, **options)
    job = run_inline(Job.objects.get(uid=run.job_uid), reraise=True)
    assert job.state == JobState.DONE, job.error
    return TrainingRun.objects.select_related("reward_model", "snapshot").get(pk=run.pk)


def test_it_trains_promotes_scores_and_reorders(world: World) -> None:
    run = train(world)

    assert (run.state, run.stage) == (RunState.DONE, "done")
    assert run.snapshot.row_count == 120
    model = run.reward_model
    assert (model.number, model.state) == (1, ModelState.CHAMPION)
    assert (model.folder / "manifest.json").is_file()
    assert model.path == f"models/{world.project.pk}/1"
    assert model.code_version.startswith("0.1.0+")
    evaluation = model.evaluations.get()
    assert evaluation.n > 5
    assert evaluation.accuracy > 0.8
    assert evaluation.low <= evaluation.accuracy <= evaluation.high
    assert set(evaluation.baselines) == {"random", "longest"}
    scores = Score.objects.filter(reward_model=model)
    assert scores.count() == Response.objects.filter(prompt__project=world.project).count() == 280
    assert all(score.head_values.shape == (4,) for score in scores[:5])
    assert scores.exclude(template_hash=model.template_hash).count() == 0
    queue = Comparison.objects.filter(pk__in=world.open_ids)
    assert {c.priority_reason for c in queue} == {"uncertain"}
    assert len({round(c.priority, 9) for c in queue}) > 10
    assert not Comparison.objects.filter(pk__in=world.labeled_ids).exclude(priority=0).exists()
    assert run.counts["reordered"] == 20
    assert set(run.timings) == {"snapshot", "train", "evaluate", "gate", "score"}
    assert run.metrics.count() > 0


def test_the_same_labels_again_do_not_replace_the_champion(world: World) -> None:
    first = train(world).reward_model
    second = train(world).reward_model

    first.refresh_from_db()
    assert (first.state, second.state) == (ModelState.CHAMPION, ModelState.REJECTED)
    decision = GateDecision.objects.get(candidate=second)
    assert decision.previous_champion == first
    failed = {reason["code"] for reason in decision.reasons if not reason["passed"]}
    assert "better_than_champion" in failed
    assert second.parent == first
    # The queue stays in the champion's order; nothing is scored by the loser.
    assert not Score.objects.filter(reward_model=second).exists()
    assert RewardModel.objects.filter(project=world.project, state="champion").count() == 1


@pytest.mark.parametrize("stage", ["snapshot", "train", "evaluate", "gate", "score"])
def test_a_run_that_dies_after_any_stage_ends_once(
    world: World, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage's work is done, but its end was never written: the next attempt repeats it without
    doubling."""
    from workers.services import pipeline

    work, following = pipeline.STAGES[stage]
    died = []

    def dies_once(context: object, run: TrainingRun) -> None:
        work(context, run)
        if not died:
            died.append(1)
            raise ConnectionError("killed")

    monkeypatch.setitem(pipeline.STAGES, stage, (dies_once, following))
    run = train(world)

    assert died
    assert run.state == RunState.DONE
    assert RewardModel.objects.count() == 1
    assert GateDecision.objects.count() == 1
    assert world.project.snapshots.count() == 1
    assert Score.objects.count() == 280
