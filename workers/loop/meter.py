"""Seconds and memory of each stage of a round.

A thread samples the resident memory of this process and its children every 50 ms; a stage's figure is the largest
sample between its start and its end. Stages that run inside one job are cut out afterwards by their own timings.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import psutil

SAMPLE_S = 0.05
MEBIBYTE = 2**20


@dataclass
class StageReport:
    """What one stage did. `worked` says whether it did real work; the round fails where it did not."""

    name: str
    seconds: float = 0.0
    peak_mb: float = 0.0
    counts: dict[str, Any] = field(default_factory=dict)
    worked: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "stage": self.name,
            "seconds": round(self.seconds, 2),
            "peak_mb": round(self.peak_mb, 1),
            "worked": self.worked,
            **self.counts,
        }


def resident_mb() -> float:
    """Resident memory of this process and its living children, in MiB."""
    process = psutil.Process()
    total = process.memory_info().rss
    for child in process.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:
            continue  # it ended between listing and reading
    return float(total / MEBIBYTE)


class Meter:
    """Use as a context manager around a whole round; `stage` measures one part of it."""

    def __init__(self) -> None:
        self.reports: list[StageReport] = []
        self._samples: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="memory-meter", daemon=True)

    def __enter__(self) -> Meter:
        self._samples.append((time.monotonic(), resident_mb()))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self._samples.append((time.monotonic(), resident_mb()))

    def peak_mb(self, start: float = 0.0, end: float = float("inf")) -> float:
        """Largest sample in [start, end] of the monotonic clock; a stage shorter than the sampling is read now."""
        found = [mb for at, mb in list(self._samples) if start <= at <= end]
        return max(found, default=resident_mb())

    @contextmanager
    def stage(self, name: str) -> Iterator[StageReport]:
        report = StageReport(name)
        start = time.monotonic()
        try:
            yield report
        finally:
            end = time.monotonic()
            report.seconds, report.peak_mb = end - start, self.peak_mb(start, end)
            self.reports.append(report)

    def add_timed(self, name: str, start: float, seconds: float, **counts: Any) -> StageReport:
        """A stage that ran inside something else, from `start` on the monotonic clock for `seconds`."""
        report = StageReport(name, seconds, self.peak_mb(start, start + seconds), counts)
        self.reports.append(report)
        return report
