"""The reward library's callbacks, tied to a job: progress, live figures, checkpoints, stopping."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from workers.models import RunMetric, TrainingRun
from workers.reward.types import Callbacks
from workers.words import step_words

if TYPE_CHECKING:
    from webapp.jobs.context import JobContext

FLUSH_S = 1.0


class JobCallbacks(Callbacks):
    """Progress and stopping alone, for scoring."""

    def __init__(self, context: JobContext) -> None:
        self.context = context

    def should_stop(self) -> bool:
        return self.context.should_stop()


class RunCallbacks(JobCallbacks):
    """Figures go to `RunMetric`, a row for each step, written at most once a second.

    The newest step is held back until the next one begins, because a step's figures (training, then
    validation) may come in several calls. A resumed run writes its repeated steps over the old ones.
    """

    def __init__(self, context: JobContext, run: TrainingRun) -> None:
        super().__init__(context)
        self.run = run
        self._pending: dict[int, dict[str, float]] = {}
        self._flushed_at = time.monotonic()

    def progress(self, done: int, total: int, message: str) -> None:
        # Not context.progress: that one raises, and the library saves its checkpoint when asked to stop.
        if not self.context.should_stop():
            self.context.progress(done, total, step_words(message))

    def metric(self, step: int, values: dict[str, float]) -> None:
        finite = {key: float(value) for key, value in values.items() if math.isfinite(value)}
        self._pending.setdefault(step, {}).update(finite)
        if time.monotonic() - self._flushed_at >= FLUSH_S:
            self.flush(keep=step)

    def checkpointed(self) -> None:
        self.context.checkpointed()

    def flush(self, *, keep: int | None = None) -> None:
        """Write everything pending but the step `keep`."""
        rows = [
            RunMetric(run=self.run, step=step, values=values)
            for step, values in sorted(self._pending.items())
            if step != keep
        ]
        self._pending = {step: values for step, values in self._pending.items() if step == keep}
        self._flushed_at = time.monotonic()
        if rows:
            with self.context.guarded():
                RunMetric.objects.bulk_create(
                    rows, update_conflicts=True, unique_fields=["run", "step"], update_fields=["values"]
                )
