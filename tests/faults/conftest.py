"""Real workers with the fault tests' kinds of job, short leases, and a log of what the handlers did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import WorkerProcess
from tests.servers import wait_until
from webapp.celery import app
from webapp.jobs.models import Job
from webapp.jobs.services import job_enqueue

QUICK = {
    "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
    "CHOSEN_JOB_LEASE_S": "4",
    "CHOSEN_JOB_HEARTBEAT_S": "1",
    "CHOSEN_JOB_REAP_S": "1",
    "CHOSEN_JOB_RETRY_S": "0",
    "CHOSEN_JOB_STOP_GRACE_S": "5",
}


@pytest.fixture(autouse=True)
def fault_kinds(settings):
    from tests.faults.settings import JOB_KINDS

    settings.JOB_KINDS = JOB_KINDS


@pytest.fixture
def on_redis(redis_server, monkeypatch):
    """The test itself sends through a Redis of its own, as its workers do."""
    connection = app.connection(redis_server.url)
    monkeypatch.setattr(
        "webapp.jobs.publishing.app.send_task",
        lambda *args, **options: app.__class__.send_task(app, *args, connection=connection, **options),
    )
    yield redis_server
    connection.release()


@pytest.fixture
def worker(worker_process) -> Callable[..., WorkerProcess]:
    """`worker(env={...})`: a worker with leases of four seconds, reaping every second."""

    def start(*, env: dict[str, str] | None = None, **options) -> WorkerProcess:
        return worker_process(queues="default", env={**QUICK, **(env or {})}, **options)

    return start


class Notes:
    """The lines that handlers have written, as (word, process, fence)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notes"
        self.gate = folder / "gate"

    def lines(self) -> list[tuple[str, int, int]]:
        text = self.path.read_text() if self.path.exists() else ""
        return [(word, int(pid), int(fence)) for word, pid, fence in map(str.split, text.splitlines())]

    def words(self) -> list[str]:
        return [word for word, _pid, _fence in self.lines()]

    def wait_for(self, word: str, count: int = 1) -> None:
        wait_until(lambda: self.words().count(word) >= count, timeout_s=60, what=f"{count} × {word!r}")

    def open_gate(self) -> None:
        self.gate.touch()


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path)


@pytest.fixture
def enqueue(notes: Notes, transactional_db: None) -> Callable[..., Job]:
    """`enqueue("steps", steps=40, wait_at=20)`: a job of the kind fault.steps."""

    def make(kind: str, **params) -> Job:
        files = {"notes": str(notes.path), "gate": str(notes.gate)}
        return job_enqueue(kind=f"fault.{kind}", params={**files, **params})

    return make


def wait_for_state(job: Job, *states: str, timeout_s: float = 60) -> Job:
    """Wait until the job's row is in one of the states."""

    def arrived() -> bool:
        job.refresh_from_db()
        return job.state in states

    wait_until(arrived, timeout_s=timeout_s, what=f"{job} {states}, which is {job.state}")
    return job
