"""A run from labels to a scored queue, with the starter, in one process."""

from __future__ import annotations

import pytest

from labeling.models import Comparison, Prompt, Response
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import read_snapshot
from labeling.snapshots.files import snapshot_path
from tests.workers.app.world import World
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job, JobState
from workers.models import (
    Evaluation,
    GateDecision,
    ModelState,
    RewardModel,
    RunState,
    Score,
    TrainingRun,
)
from workers.reasons import sentences
from workers.reward.compare import compare
from workers.services.held_out import lineage, seen_before, seen_groups
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


def decision_of(run: TrainingRun) -> tuple[dict[str, dict], dict[str, int]]:
    """The reasons by code, and how many pairs the champion and the candidate were compared on."""
    decision = GateDecision.objects.get(run=run)
    reasons = {reason["code"]: reason for reason in decision.reasons}
    evaluations = Evaluation.objects.filter(snapshot=run.snapshot, split="test")
    return reasons, {str(row.reward_model): row.n for row in evaluations}


@pytest.mark.parametrize(
    "config",
    [
        {"fractions": {"train": 0.2, "validation": 0.2, "test": 0.6}},
        {"seed": 5, "fractions": {"train": 0.7, "validation": 0.1, "test": 0.2}},
        {"group_key": "topic", "test_groups": ["maths"]},
    ],
)
def test_champion_and_candidate_meet_on_pairs_that_neither_was_trained_on(
    world: World, config: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(world)
    trained_on = {row.prompt_id for row in read_snapshot(first.snapshot, splits=("train", "validation"))}
    met: list[set[str]] = []

    def watched(ours, theirs, pairs, **options):
        kept = list(pairs)
        met.append({pair.pair_id for pair in kept})
        return compare(ours, theirs, kept, **options)

    monkeypatch.setattr("workers.services.stages.compare", watched)
    second = train(world, snapshot_config=config)

    test = list(read_snapshot(second.snapshot, splits=("test",)))
    clean = {row.group for row in test} - {row.group for row in test if row.prompt_id in trained_on}
    expected = {str(row.comparison_id) for row in test if row.group in clean}
    reasons, _numbers = decision_of(second)
    assert met == [expected]
    assert 0 < reasons["seen_by_champion"]["n"] == len(test) - len(expected)
    assert reasons["enough_pairs"]["n"] == len(expected)
    assert "left out" in next(s.text for s in sentences([reasons["seen_by_champion"]]))


def test_held_out_since_is_left_out_too(world: World) -> None:
    """The same settings, but prompts of the champion's training were marked as test afterwards."""
    first = train(world)
    rows = list(read_snapshot(first.snapshot, splits=("train",)))[:7]
    for row in rows:
        Prompt.objects.filter(pk=row.prompt_id).update(metadata={"split": "test"})
    reasons, numbers = decision_of(train(world))
    assert reasons["seen_by_champion"]["n"] == 7
    assert numbers["v1"] == reasons["enough_pairs"]["n"] < numbers["v2"]


def test_the_usual_next_run_leaves_nothing_out(world: World) -> None:
    train(world)
    reasons, numbers = decision_of(train(world))
    assert not {"seen_by_champion", "champion_data_unreadable"} & set(reasons)
    assert numbers["v1"] == numbers["v2"]


def test_training_data_that_cannot_be_read_is_said(world: World) -> None:
    first = train(world)
    snapshot_path(first.snapshot).unlink()
    reasons, _numbers = decision_of(train(world))
    assert "champion_data_unreadable" in reasons
    assert sentences([reasons["champion_data_unreadable"]])[0].passed is None


def test_what_a_base_model_was_trained_on_is_no_test_for_what_goes_on_from_it(world: World) -> None:
    first = train(world).reward_model
    child = RewardModel.objects.create(
        project=world.project,
        number=2,
        kind="transformer",
        path="models/x/2",
        snapshot=first.snapshot,
        config={"base": str(first.folder)},
        code_version="x",
        template_hash="t",
    )
    assert lineage(child) == [child, first]
    wide = {"fractions": {"train": 0.1, "validation": 0.1, "test": 0.8}}
    snapshot = snapshot_build(snapshot_create(project=world.project, config=wide, enqueue=False))
    seen, remarks = seen_before(snapshot, child)
    assert seen == seen_groups(snapshot, [first]) != set()
    assert remarks == []
    assert seen_before(snapshot, first) == (set(), [])
    policy = RewardModel.objects.create(
        project=world.project,
        number=3,
        kind="dpo",
        path="models/x/3",
        snapshot=snapshot,
        config={"model": "somebody/policy", "reference": str(child.folder)},
        code_version="x",
        template_hash="t",
    )
    assert lineage(policy) == [policy, child, first]
    assert seen_before(snapshot, policy)[0] == seen


def test_a_base_whose_training_data_is_gone_fails_no_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(world)
    snapshot_path(first.snapshot).unlink()
    base = first.reward_model
    monkeypatch.setattr("workers.services.held_out.lineage", lambda model: list(dict.fromkeys([model, base])))
    second = train(world)
    reasons, numbers = decision_of(second)
    assert numbers["v2"] > 0
    (said,) = sentences([reasons["base_data_unreadable"]])
    assert (said.passed, "could not be read" in said.text) == (None, True)


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
