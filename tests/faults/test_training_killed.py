"""A worker killed in the middle of a training: the run goes on from its checkpoint and ends once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django.utils import timezone

from labeling.models import Response
from tests.processes import WorkerProcess
from tests.servers import wait_until
from tests.workers.app.world import make_world
from webapp.jobs.models import Job, JobState
from webapp.jobs.reaper import reap
from workers.models import GateDecision, ModelState, RewardModel, RunState, Score, TrainingRun
from workers.reward.folder import verify
from workers.services.training import training_start

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]

TINY = {
    "base": "tiny",
    "tiny_hidden": 32,
    "tiny_layers": 1,
    "tiny_vocabulary": 300,
    "max_length": 64,
    "batch_tokens": 256,
    "max_steps": 600,
    "epochs": 100.0,
    "checkpoint_every": 4,
    "evaluate_every": 40,
    "patience": 50,
}
# Few pairs are held out of sixty, and this test is not about how good the model is.
EASY_GATE = {"minimum_pairs": 1, "first_champion_free": True}
TIMEOUT_S = 240.0


def start_worker(worker_process: Callable[..., WorkerProcess]) -> WorkerProcess:
    """A worker for the gpu queue, as `make run` starts it."""
    return worker_process(queues="gpu", pool="solo", concurrency=1, env={"OMP_NUM_THREADS": "1"})


def kill_family(worker: WorkerProcess) -> None:
    """SIGKILL to the worker and to the job's own process, so that neither can say goodbye."""
    family = psutil.Process(worker.pid).children(recursive=True)
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    worker.kill()
    psutil.wait_procs(family, timeout=20)


def requeue_dead(job: Job) -> None:
    """What time and the beat do: the dead worker's lease runs out, and the reaper puts the job back."""
    Job.objects.filter(pk=job.pk, state=JobState.RUNNING).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
    reap()


def last_step(run: TrainingRun) -> int:
    return run.metrics.order_by("-step").values_list("step", flat=True).first() or 0


def test_kill_nine_mid_training_ends_with_one_promotion(
    worker_process: Callable[..., WorkerProcess],
) -> None:
    world = make_world(labeled=60, unlabeled=5, slug="killed")
    run = training_start(project=world.project, kind="transformer", config=TINY, gate_rules=EASY_GATE)
    job = Job.objects.get(uid=run.job_uid)
    work = Path(settings.DATA_DIR) / "jobs" / str(job.uid) / "work"
    fences = []
    for _ in range(2):
        goal = last_step(run) + 8
        worker = start_worker(worker_process)
        wait_until(lambda goal=goal: last_step(run) >= goal, timeout_s=TIMEOUT_S, what=f"step {goal}")
        kill_family(worker)
        job.refresh_from_db()
        assert job.state == JobState.RUNNING, worker.output
        assert any(work.glob("step-*")), list(work.iterdir())
        fences.append(job.fence)
        requeue_dead(job)

    worker = start_worker(worker_process)
    wait_until(lambda: not Job.objects.get(pk=job.pk).is_active, timeout_s=TIMEOUT_S, what="the job's end")

    job.refresh_from_db()
    run.refresh_from_db()
    assert job.state == JobState.DONE, f"{job.error}{worker.output}"
    assert job.fence > fences[1] > fences[0]
    assert (run.state, run.stage) == (RunState.DONE, "done")
    model = RewardModel.objects.get(project=world.project)
    verify(model.folder)
    assert GateDecision.objects.filter(run=run, kind="automatic").count() == 1
    assert world.project.snapshots.count() == 1
    assert model.state == ModelState.CHAMPION, GateDecision.objects.get().reasons
    responses = Response.objects.filter(prompt__project=world.project).count()
    assert Score.objects.filter(reward_model=model).count() == responses
    # Steps are counted once through all three workers.
    steps = list(run.metrics.order_by("step").values_list("step", flat=True))
    assert len(steps) == len(set(steps))
    assert max(steps) <= TINY["max_steps"]
