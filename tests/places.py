"""Where a test run keeps its files: one folder for the run, in it one for each pytest-xdist worker.

Plain functions of the environment, so that settings can name a socket before the server behind it is started.
"""

from __future__ import annotations

import getpass
import os
import tempfile
from pathlib import Path

# Unix socket addresses hold about 100 bytes, so the folders have short names.
ROOT = Path(tempfile.gettempdir()) / f"chosen-tests-{getpass.getuser()}"


def run_dir() -> Path:
    """The folder of this run; xdist's workers and the processes that tests start inherit its name."""
    name = os.environ.setdefault("CHOSEN_TEST_RUN", f"r{os.getpid()}")
    return ROOT / name


def worker_name() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


def data_dir() -> Path:
    """CHOSEN_DATA_DIR of this test process."""
    return run_dir() / f"test_{worker_name()}" / "data"


def postgres_socket_dir() -> Path:
    return run_dir() / "pg"


def redis_socket() -> Path:
    return run_dir() / "redis.sock"


def redis_database() -> int:
    """A Redis database for each xdist worker: gw0 has 1, gw1 has 2; without xdist it is 0."""
    name = worker_name()
    return int(name[2:]) + 1 if name.startswith("gw") else 0
