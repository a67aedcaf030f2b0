"""Real processes for tests: Celery workers and web servers, beside the test, on the test's own database."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import wait_until

ROOT = Path(__file__).resolve().parent.parent
STOP_TIMEOUT_S = 20.0


def process_env(**overrides: str) -> dict[str, str]:
    """The test's environment for a process beside it.

    The settings module is the app's own unless overridden.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return {**env, "DJANGO_SETTINGS_MODULE": "webapp.settings", "PYTHONUNBUFFERED": "1", **overrides}


@dataclass
class Process:
    """A process in a session of its own; its output goes to a file that a failing test can show."""

    command: list[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=process_env(**self.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to the process alone, as the kernel does it: its children find out for themselves."""
        if self.is_alive():
            self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def terminate(self) -> int:
        """SIGTERM, and wait for the end. Returns the exit status."""
        assert self.process is not None
        self.send(signal.SIGTERM)
        return self.process.wait(timeout=STOP_TIMEOUT_S)

    def stop(self) -> None:
        """End it in whatever state it is, as a fixture must."""
        if self.process is None:
            return
        if self.is_alive():
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
            try:
                self.process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


class WorkerProcess(Process):
    """`celery worker`, by default the one that `make run` starts."""

    def __init__(self, log: Path, *, queues: str, pool: str, concurrency: int, env: dict[str, str]) -> None:
        super().__init__(
            command=[
                *(sys.executable, "-m", "celery", "-A", "webapp", "worker", "--loglevel", "info"),
                *("--pool", pool, "--concurrency", str(concurrency), "--queues", queues),
                *("--without-gossip", "--without-mingle"),
            ],
            log=log,
            env=env,
        )

    def wait_until_ready(self) -> None:
        wait_until(self._is_ready, what="the worker")

    def _is_ready(self) -> bool:
        if not self.is_alive():
            raise RuntimeError(f"the worker ended at once:\n{self.output}")
        return " ready." in self.output


class WebProcess(Process):
    """gunicorn on a free port of 127.0.0.1."""

    def __init__(self, log: Path, *, env: dict[str, str]) -> None:
        self.port = free_port()
        super().__init__(
            command=[
                *(sys.executable, "-m", "gunicorn", "webapp.wsgi:application"),
                *("--bind", f"127.0.0.1:{self.port}", "--workers", "1", "--threads", "8", "--timeout", "60"),
            ],
            log=log,
            env=env,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        wait_until(self._answers, what="the web server")

    def _answers(self) -> bool:
        if not self.is_alive():
            raise RuntimeError(f"the web server ended at once:\n{self.output}")
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as response:
                return response.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
