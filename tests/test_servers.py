"""What killed runs leave behind is cleared away, and nobody else is harmed by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import servers


def number_of_a_dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def dead_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run whose processes are gone, its database's pid file left in it."""
    monkeypatch.setattr(servers, "ROOT", tmp_path)
    folder = tmp_path / f"r{number_of_a_dead_process()}"
    (folder / "pg" / "data").mkdir(parents=True)
    return folder


def leave_pid(folder: Path, pid: int) -> None:
    (folder / "pg" / "data" / "postmaster.pid").write_text(f"{pid}\n{folder}/pg/data\n1700000000\n")
    (folder / "redis.pid").write_text(str(pid))


def test_a_run_that_the_machine_took_down_is_swept(dead_run: Path) -> None:
    leave_pid(dead_run, number_of_a_dead_process())
    servers.sweep_dead_runs()
    assert not dead_run.exists()


def test_a_strangers_process_under_an_old_number_is_left_alone(dead_run: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        leave_pid(dead_run, stranger.pid)
        servers.sweep_dead_runs()
        assert stranger.poll() is None
        assert not dead_run.exists()
    finally:
        stranger.kill()
        stranger.wait()


def test_a_run_with_a_living_user_is_kept(dead_run: Path) -> None:
    (dead_run / "users").write_text(str(os.getpid()))
    servers.sweep_dead_runs()
    assert dead_run.exists()
