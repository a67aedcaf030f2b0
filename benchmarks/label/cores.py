"""Core seconds of each side of a measurement: what a busy machine changes least."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import psutil


def postmaster(folder: Path) -> int | None:
    """The first process of the PostgreSQL of `start_postgres(folder)`; None where there is none."""
    file = folder / "data" / "postmaster.pid"
    return int(file.read_text().split()[0]) if file.exists() else None


def core_seconds(sides: Mapping[str, int | None]) -> dict[str, float]:
    """Of each side's process with all its children, ended ones included, and of this process, the client."""
    spent = {side: _of_tree(pid) for side, pid in sides.items() if pid is not None}
    return spent | {"client": time.process_time()}


def _of_tree(pid: int) -> float:
    root = psutil.Process(pid)
    ended = root.cpu_times().children_user + root.cpu_times().children_system
    return ended + sum(_own(process) for process in (root, *root.children(recursive=True)))


def _own(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # ended since it was listed
        return 0.0
    return float(times.user + times.system)
