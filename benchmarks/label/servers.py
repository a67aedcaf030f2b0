"""A throw-away database and the web server on it, as the README starts them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import start_postgres, stop_postgres

ROOT = Path(__file__).resolve().parents[2]
START_S = 60
# The server keeps its promises (fsync, synchronous commits); only its memory and its clients are set.
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "150",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
}


@contextmanager
def database(folder: Path, kind: str) -> Iterator[dict[str, str]]:
    """The environment of an app on a new database in `folder`, "sqlite" or "postgres", migrated."""
    env = {
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "CHOSEN_DATA_DIR": str(folder / f"app-{kind}"),
        "CHOSEN_LOG_LEVEL": "WARNING",
        # One person of the benchmark is faster than any: the limit is counted, but not met.
        "CHOSEN_API_RATE": "600000/min",
    }
    if kind == "sqlite":
        _migrate(env)
        yield env
        return
    folder.chmod(0o755)
    start_postgres(folder / "pg", SETTINGS)
    env |= {
        "DATABASE_URL": f"postgresql://chosen@/{folder / 'pg'}/postgres",
        "SECRET_KEY": "a key of this benchmark alone, which nothing else will ever use",
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "CELERY_BROKER_URL": "filesystem://",
        "CHOSEN_HTTPS": "0",
        "CHOSEN_STATIC_MANIFEST": "0",
    }
    try:
        _migrate(env)
        yield env
    finally:
        stop_postgres(folder / "pg")


def _migrate(env: dict[str, str]) -> None:
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, check=True)


@contextmanager
def web_server(env: dict[str, str]) -> Iterator[tuple[int, int]]:
    """gunicorn with the arguments of the Procfile; gives its port and the number of its first process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = next(line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("web:"))
    arguments = line.replace("${PORT:-8000}", str(port)).split()[2:]
    command = [sys.executable, "-m", "gunicorn", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **env})
    try:
        _wait(f"http://127.0.0.1:{port}/health", process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the web server ended at once with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"{url} did not answer within {START_S} s")
