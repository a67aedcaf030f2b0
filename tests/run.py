"""The whole suite: on SQLite with the filesystem broker, then what touches a database on PostgreSQL and Redis.

Run by `make test`. Arguments go to both pytest runs, for example `python -m tests.run -k import`. Parallel runs share
one PostgreSQL, one Redis and the two cores; libraries that start threads of their own are held to one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

PROCESSES = os.environ.get("CHOSEN_TEST_PROCESSES", "2")
# Pure parts say the same on any database; browser journeys run once.
POSTGRES_PARTS = [
    "tests/webapp",
    "tests/labeling",
    "tests/judging",
    "tests/workers/app",
    "tests/faults",
    "tests/house",
]
# Nor do rights, hidden words and counts of queries depend on it.
SAID_ONCE = [
    "tests/labeling/demo",
    "tests/house/test_access_matrix.py",
    "tests/house/test_canary.py",
    "tests/house/test_queries.py",
]
POSTGRES_SKIPS = [argument for place in SAID_ONCE for argument in ("--deselect", place)]
QUIET = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}


def run(database: str, *arguments: str) -> int:
    env = {**os.environ, **QUIET, "CHOSEN_TEST_DATABASE": database}
    env.pop("CHOSEN_TEST_RUN", None)
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-n", PROCESSES, "--dist", "worksteal", "-rR", *arguments]
    code = subprocess.run(command, env=env, check=False).returncode
    sys.stdout.write(
        f"== {database}: {'passed' if code == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s\n"
    )
    sys.stdout.flush()
    return code


def main(arguments: list[str]) -> int:
    codes = [run("sqlite", *arguments), run("postgres", *POSTGRES_PARTS, *POSTGRES_SKIPS, *arguments)]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
