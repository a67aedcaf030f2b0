"""What a handler sees of its job."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from webapp.jobs.claims import Claim, claim_check
from webapp.jobs.errors import JobCancelled, JobLost, JobStopped
from webapp.jobs.json_values import json_safe
from webapp.jobs.messages import Text, cut
from webapp.jobs.models import Job

LOG_TAIL_CHARS = 16_000
WRITE_INTERVAL_S = 0.5
CANCEL_POLL_S = 1.0


class Interruptions:
    """Flags that a watching thread or a signal handler sets, and the handler's thread reads."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.lost = threading.Event()
        self.stopped = threading.Event()

    def any(self) -> bool:
        return self.cancelled.is_set() or self.lost.is_set() or self.stopped.is_set()


class JobContext:
    """Handed to a handler. Every database write of a handler happens inside `with context.guarded():`.

    A handler must be idempotent and resumable: it may be run again after any of its statements. It ends in
    one of these ways: it returns (done; the dict becomes the job's result); it raises (tried again after a
    backoff, up to max_attempts; PermanentJobError and errors with a true `permanent` fail at once); or,
    having seen `should_stop()`, it saves its checkpoint and calls `stop()`.
    """

    def __init__(self, job: Job, interruptions: Interruptions) -> None:
        self.job = job
        self.claim = Claim(job.pk, job.fence)
        self.params: dict[str, Any] = job.params
        self.interruptions = interruptions
        self.saw_stop = False
        self._log = job.log_tail
        self._metrics: dict[str, Any] = dict(job.metrics)
        self._pending: dict[str, Any] = {}
        self._written_at = self._checked_at = float("-inf")
        self._first: tuple[float, int] | None = None
        self._thread = threading.get_ident()

    @property
    def checkpoint_dir(self) -> Path:
        """A folder of this job alone, kept between its attempts and removed some days after its end."""
        path: Path = settings.DATA_DIR / "jobs" / str(self.job.uid)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def progress(self, done: int, total: int, message: Text = "") -> None:
        """Say how far the work is; written at most twice a second, and whenever it reaches the total.

        Raises JobCancelled, JobStopped or JobLost. A handler with a checkpoint to save asks `should_stop()`
        first.
        """
        self._pending.update(
            progress_done=max(0, int(done)),
            progress_total=max(0, int(total)),
            progress_message=cut(message, 300),
            expected_end_at=self._expected_end(int(done), int(total)),
        )
        self.write(force=total > 0 and done >= total)
        if self.should_stop():
            self.stop()

    def log(self, line: str) -> None:
        """Add a line to the job's log; the last 16,000 characters are kept."""
        stamp = timezone.now().strftime("%H:%M:%S")
        self._log = f"{self._log}{stamp} {json_safe(line.rstrip())}\n"[-LOG_TAIL_CHARS:]
        self._pending["log_tail"] = self._log
        self.write()

    def metric(self, **values: Any) -> None:
        """Merge figures into the job's metrics (JSON values)."""
        self._metrics.update(json_safe(values))
        self._pending["metrics"] = self._metrics
        self.write()

    def checkpointed(self) -> None:
        """A new checkpoint is safe on disk: failed attempts before it no longer count. Raises JobLost."""
        if not self.claim.rows.update(attempts=0):
            self._lose()
        self.job.attempts = 0

    def should_stop(self) -> bool:
        """True once a cancel was asked for, the worker is shutting down, or the claim is lost.

        Any thread may ask. Only the handler's own looks at the row: another thread's database connection would
        never be given back to the pool. The others see what the watching thread has found.
        """
        now = time.monotonic()
        is_due = threading.get_ident() == self._thread and now - self._checked_at >= CANCEL_POLL_S
        if is_due and not self.interruptions.any():
            self._checked_at = now
            pulse = claim_check(self.claim)
            if not pulse.held:
                self.interruptions.lost.set()
            elif pulse.cancel_requested:
                self.interruptions.cancelled.set()
        self.saw_stop = self.saw_stop or self.interruptions.any()
        return self.interruptions.any()

    def stop(self) -> NoReturn:
        """End here, for the reason for which `should_stop()` was true.

        Raises JobLost, JobCancelled or JobStopped.
        """
        if self.interruptions.lost.is_set():
            raise JobLost(f"job {self.job.pk} is no longer held with fence {self.claim.fence}")
        # A signal says only that this process must end; the row says whether somebody asked for a cancel.
        if self.interruptions.cancelled.is_set() or claim_check(self.claim).cancel_requested:
            raise JobCancelled(f"job {self.job.pk} was cancelled")
        raise JobStopped(f"job {self.job.pk} goes back to the queue")

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """A transaction in which the claim is known to hold: the job's row is locked first.

        Raises JobLost.
        """
        with transaction.atomic():
            if self.claim.rows.select_for_update().values_list("pk", flat=True).first() is None:
                self._lose()
            yield

    def write(self, *, force: bool = False) -> None:
        """Write what is pending, at most twice a second unless forced.

        Raises JobLost if the claim is lost.
        """
        now = time.monotonic()
        if not self._pending or (not force and now - self._written_at < WRITE_INTERVAL_S):
            return
        self._written_at = now
        pending, self._pending = self._pending, {}
        if not self.claim.rows.update(**pending):
            self._lose()

    def _expected_end(self, done: int, total: int) -> Any:
        """When the work will be done at this attempt's pace, or None while there is no pace yet."""
        now = time.monotonic()
        if self._first is None or done < self._first[1]:
            self._first = (now, done)
        since, done_then = self._first
        if done <= done_then or total <= done:
            return None
        return timezone.now() + timedelta(seconds=(now - since) * (total - done) / (done - done_then))

    def _lose(self) -> NoReturn:
        self.interruptions.lost.set()
        raise JobLost(f"job {self.job.pk} is no longer held with fence {self.claim.fence}")
