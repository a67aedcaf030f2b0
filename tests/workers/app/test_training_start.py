"""Starting a run: one at a time, with clear refusals, and a run's row follows the end of its job."""

from __future__ import annotations

import pytest

from tests.workers.app.world import World, make_world
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job, JobState
from webapp.jobs.services import job_cancel, job_retry
from workers.errors import BadTrainingConfig, NotEnoughLabels, TrainingBusy
from workers.models import RunState, TrainingRun
from workers.services.training import runs_settle, training_start

pytestmark = pytest.mark.django_db


def test_a_second_run_is_refused_while_one_is_active(world: World) -> None:
    first = training_start(project=world.project)
    with pytest.raises(TrainingBusy) as caught:
        training_start(project=world.project)
    assert caught.value.run == first
    assert (TrainingRun.objects.count(), Job.objects.count()) == (1, 1)


def test_another_project_may_train_at_the_same_time(world: World) -> None:
    training_start(project=world.project)
    training_start(project=make_world(labeled=12, unlabeled=0, slug="other").project)
    assert TrainingRun.objects.filter(state=RunState.ACTIVE).count() == 2


def test_too_few_labels_are_named() -> None:
    world = make_world(labeled=4, unlabeled=0)
    with pytest.raises(NotEnoughLabels, match="4 of 10"):
        training_start(project=world.project)
    assert not TrainingRun.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"config": {"heads": 0}},
        {"config": {"no_such": 1}},
        {"kind": "nonsense"},
        {"snapshot_config": {"fractions": {"train": 2}}},
        {"gate_rules": {"minimum_pairs": 0}},
        {"gate_rules": {"no_such": 1}},
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(
    world: World, wrong: dict[str, object]
) -> None:
    with pytest.raises(BadTrainingConfig):
        training_start(project=world.project, **wrong)  # type: ignore[arg-type]
    assert not TrainingRun.objects.exists()


def test_a_cancelled_job_frees_the_place(world: World) -> None:
    run = training_start(project=world.project)
    job_cancel(Job.objects.get(uid=run.job_uid))
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    training_start(project=world.project)


def test_a_job_that_vanished_frees_the_place(world: World) -> None:
    run = training_start(project=world.project)
    Job.objects.all().delete()
    assert runs_settle() == 1
    run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert run.error


def test_a_failed_run_is_revived_by_the_retry_of_its_job(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers.services import pipeline

    def breaks(context: object, run: TrainingRun) -> None:
        error = RuntimeError("no such base")
        error.permanent = True  # type: ignore[attr-defined]
        raise error

    work, following = pipeline.STAGES["train"]
    monkeypatch.setitem(pipeline.STAGES, "train", (breaks, following))
    run = training_start(project=world.project, config={"heads": 2, "hash_bits": 12})
    job = run_inline(Job.objects.get(uid=run.job_uid))
    run.refresh_from_db()
    assert (job.state, run.state, run.stage) == (JobState.FAILED, RunState.FAILED, "train")
    assert "no such base" in run.error

    monkeypatch.setitem(pipeline.STAGES, "train", (work, following))
    again = run_inline(job_retry(job), reraise=True)
    run.refresh_from_db()
    assert (run.state, run.job_uid, run.error) == (RunState.DONE, again.uid, "")
    assert world.project.snapshots.count() == 1


def test_a_retry_does_not_push_out_a_run_that_took_the_place(world: World) -> None:
    run = training_start(project=world.project)
    job = job_cancel(Job.objects.get(uid=run.job_uid))
    newer = training_start(project=world.project)
    again = run_inline(job_retry(job))
    assert again.state == JobState.FAILED
    newer.refresh_from_db()
    run.refresh_from_db()
    assert (newer.state, run.state) == (RunState.ACTIVE, RunState.CANCELLED)


def test_in_production_a_manager_names_no_folder_of_somebody_else(settings, tmp_path, world: World) -> None:
    project = world.project
    from workers.errors import BadTrainingConfig
    from workers.services.training import check_base

    settings.EMBEDDED, settings.DATA_DIR, settings.MODEL_DIRS = False, tmp_path, [str(tmp_path / "allowed")]
    allowed = [
        "tiny",
        "owner/name",
        str(tmp_path / "allowed" / "base"),
        str(tmp_path / "models" / str(project.pk) / "1"),
    ]
    for base in allowed:
        check_base(project, {"base": base})
    other = tmp_path / "models" / str(project.pk + 1) / "1"
    for base in [str(other), "/etc", "../somewhere", f"{tmp_path}/allowed/../models/{project.pk + 1}/1"]:
        with pytest.raises(BadTrainingConfig, match="CHOSEN_MODEL_DIRS"):
            check_base(project, {"base": base})
