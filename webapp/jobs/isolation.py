"""A job in a process of its own, so that a crash, a leak or CUDA's state ends with it.

The child keeps the lease and writes down its own ending. The parent starts it, passes its output on, asks
it to stop (SIGTERM, then SIGKILL after a grace), and writes down the ending of a child that died without a
word. When the parent dies, the child sees the end of its standard input, stops as if asked to, and is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils.translation import gettext_noop

from webapp.jobs.claims import Claim, Pulse, claim_cancel, claim_check, claim_release, claim_retry
from webapp.jobs.context import Interruptions
from webapp.jobs.execution import settled
from webapp.jobs.messages import Message, message
from webapp.jobs.models import Job
from webapp.jobs.watch import LeaseKeeper

logger = logging.getLogger(__name__)
POLL_S = 0.5
# The parent keeps the lease until the child, once it has imported what it needs, puts its own name in the row.
STARTUP_S = 120.0
TAIL_LINES = 60


def run_in_child(job: Job, interruptions: Interruptions) -> None:
    """Run a claimed job in a child process, and see it settled."""
    claim = Claim(job.pk, job.fence)
    child = Child(job)
    try:
        child.watch(claim, interruptions)
    finally:
        child.end()
    if settled(lambda: claim_check(claim).held):
        _settle_for(child, claim)


@dataclass
class Child:
    """The process, its output's last lines, and whether it was asked to stop."""

    job: Job
    process: subprocess.Popen[str] = field(init=False)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    stop_by: float | None = None
    was_killed: bool = False

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own module, arguments made by us
            [sys.executable, "-m", "webapp.jobs.child", str(self.job.uid), str(self.job.fence)],
            cwd=settings.BASE_DIR,
            # Threads that wait asleep: the job shares its cores with pages and other jobs, and threads that spin at a
            # barrier while a neighbour works made training ten times slower (docs/experiments.md).
            env={
                "OMP_WAIT_POLICY": "PASSIVE",
                **os.environ,
                "PYTHONFAULTHANDLER": "1",
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._pass_output_on, daemon=True)
        self._reader.start()

    def _pass_output_on(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.tail.append(line)
            sys.stderr.write(line)

    def watch(self, claim: Claim, interruptions: Interruptions) -> None:
        """Wait for the child's end, passing on a cancel or a shutdown."""
        keeper = LeaseKeeper(claim)
        startup_until = time.monotonic() + STARTUP_S
        while self._is_alive():
            pulse = self._look_at_row(claim, interruptions)
            if pulse and pulse.worker == self.job.worker and time.monotonic() < startup_until:
                keeper.beat()
            if interruptions.any():
                self._ask_to_stop()

    def _is_alive(self) -> bool:
        try:
            self.process.wait(timeout=POLL_S)
        except subprocess.TimeoutExpired:
            return True
        return False

    def _look_at_row(self, claim: Claim, interruptions: Interruptions) -> Pulse | None:
        try:
            pulse = claim_check(claim)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("job %d could not be looked up: %s", claim.job_id, error)
            connection.close()
            return None
        if not pulse.held:
            interruptions.lost.set()
        elif pulse.cancel_requested:
            interruptions.cancelled.set()
        return pulse

    def _ask_to_stop(self) -> None:
        now = time.monotonic()
        if self.stop_by is None:
            self.stop_by = now + settings.JOB_STOP_GRACE_S
            self.process.terminate()
        elif now >= self.stop_by:
            self.was_killed = True
            self._kill_group()

    def _kill_group(self) -> None:
        # The child leads its own session, so that processes it started (torchrun's) go with it.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            logger.info("the process of job %d had ended", self.job.pk)

    def end(self) -> None:
        """Nothing of the child outlives this call."""
        if self.process.poll() is None:
            self.was_killed = True
        self._kill_group()
        self.process.wait()
        self._reader.join(timeout=5)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def describe_death(self) -> Message:
        code, output = self.process.returncode, "".join(self.tail)
        if code >= 0:
            msgid = gettext_noop("The job's process ended with code %(code)d and left no result.\n%(output)s")
            return message(msgid, code=code, output=output)
        if -code == signal.SIGKILL:
            msgid = gettext_noop(
                "The job's process was ended by %(signal)s (out of memory, perhaps).\n%(output)s"
            )
        else:
            msgid = gettext_noop("The job's process was ended by %(signal)s.\n%(output)s")
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return message(msgid, signal=name, output=output)


def _settle_for(child: Child, claim: Claim) -> None:
    """The child is gone and the claim still stands: say how it ended."""
    if child.was_killed and settled(lambda: claim_check(claim).cancel_requested):
        settled(lambda: claim_cancel(claim))
    elif child.was_killed:
        settled(lambda: claim_release(claim))
    else:
        death = child.describe_death()
        logger.warning("job %d: %s", claim.job_id, str(death).splitlines()[0])
        settled(lambda: claim_retry(claim, death))
