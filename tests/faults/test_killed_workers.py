"""Workers that are killed, stopped and told to end in the middle of a job."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from tests.faults.conftest import wait_for_state
from tests.servers import wait_until
from webapp.jobs.models import WorkerBeat
from webapp.jobs.services import job_cancel
from webapp.users.models import User

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]


def results() -> int:
    return User.objects.filter(username__startswith="result-").count()


@pytest.mark.parametrize("kind", ["steps", "child_steps"])
@pytest.mark.parametrize("transport", ["configured", "redis"])
def test_a_killed_worker_leaves_a_job_that_the_next_worker_completes_once(
    worker, enqueue, notes, kind, transport, request
):
    env = {"CELERY_BROKER_URL": request.getfixturevalue("on_redis").url} if transport == "redis" else {}
    first = worker(env=env)
    job = enqueue(kind, steps=30, wait_at=15)
    notes.wait_for("waiting")
    first.kill()
    notes.open_gate()

    worker(env=env)
    wait_for_state(job, "done")

    assert (job.result, results()) == ({"steps": 30}, 1)
    assert notes.words().count("start") == 2
    assert job.fence == 2


def test_the_child_of_a_killed_worker_ends_too(worker, enqueue, notes):
    first = worker(env={"CHOSEN_JOB_STOP_GRACE_S": "1"})
    enqueue("child_steps", steps=5, wait_at=2)
    notes.wait_for("waiting")
    child = notes.lines()[0][1]
    assert psutil.pid_exists(child)
    first.kill()
    wait_until(lambda: not psutil.pid_exists(child), timeout_s=30, what="the child's end")


@pytest.mark.parametrize(
    ("kind", "pool"), [("steps", "threads"), ("child_steps", "threads"), ("child_steps", "solo")]
)
def test_a_worker_told_to_end_checkpoints_and_gives_the_attempt_back(worker, enqueue, notes, kind, pool):
    first = worker(pool=pool)
    job = enqueue(kind, steps=30, wait_at=15)
    notes.wait_for("waiting")
    first.terminate()

    job.refresh_from_db()
    assert (job.state, job.attempts) == ("queued", 0)
    assert notes.words() == ["start", "waiting", "stopped"]
    assert not WorkerBeat.objects.exists()

    notes.open_gate()
    worker()
    wait_for_state(job, "done")
    assert (job.result, results()) == ({"steps": 30}, 1)


@pytest.mark.parametrize("kind", ["steps", "child_steps"])
def test_a_running_job_is_cancelled_while_it_runs(worker, enqueue, notes, kind):
    worker()
    job = enqueue(kind, steps=30, wait_at=3)
    notes.wait_for("waiting")
    job_cancel(job)
    wait_for_state(job, "cancelled")
    assert results() == 0


@pytest.mark.parametrize("kind", ["stale", "child_stale"])
def test_a_process_stopped_beyond_its_lease_writes_nothing_when_it_wakes(worker, enqueue, notes, kind):
    first = worker(wait=True)
    job = enqueue(kind)
    notes.wait_for("waiting")
    child = notes.lines()[0][1]
    pids = {first.pid, child}
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    worker()
    wait_for_state(job, "done")
    notes.open_gate()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)

    if kind == "stale":
        notes.wait_for("refused:JobLost")
    else:  # its parent, awake too, may end it before it comes to write
        wait_until(lambda: "refused:JobLost" in notes.words() or not psutil.pid_exists(child))
    assert list(User.objects.values_list("username", flat=True)) == ["written-by-2"]
    job.refresh_from_db()
    assert (job.state, job.fence) == ("done", 2)


def test_a_job_that_segfaults_is_tried_exactly_three_times_and_harms_no_neighbour(worker, enqueue, notes):
    running = worker()
    neighbour = enqueue("steps", steps=60)
    crashing = enqueue("crash")

    wait_for_state(crashing, "failed")
    wait_for_state(neighbour, "done")

    assert (crashing.attempts, crashing.fence) == (3, 3)
    assert "SIGSEGV" in crashing.error_line
    assert "most recent call first" in str(crashing.error)
    assert (neighbour.fence, results()) == (1, 1)
    assert running.is_alive()
    assert notes.words().count("start") == 4
