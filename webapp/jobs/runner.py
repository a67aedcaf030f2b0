"""What a worker does with a message: claim the job, run it here or in a child process, wake the next one."""

from __future__ import annotations

import logging
import os
import socket
import threading

from webapp.jobs.claims import job_claim
from webapp.jobs.context import Interruptions
from webapp.jobs.errors import UnknownJobKind
from webapp.jobs.execution import execute
from webapp.jobs.isolation import run_in_child
from webapp.jobs.kinds import kind_of
from webapp.jobs.models import Job, JobState
from webapp.jobs.reaper import wake_next

logger = logging.getLogger(__name__)


class Shutdown:
    """Set once this worker has been told to stop; every running job of the process hears of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Interruptions] = set()
        self.begun = False

    def begin(self) -> None:
        # Called from a signal handler, which may interrupt the very thread that holds the lock.
        self.begun = True
        for interruptions in tuple(self._running):
            interruptions.stopped.set()

    def enter(self, interruptions: Interruptions) -> None:
        with self._lock:
            self._running = self._running | {interruptions}
        if self.begun:
            interruptions.stopped.set()

    def leave(self, interruptions: Interruptions) -> None:
        with self._lock:
            self._running = self._running - {interruptions}


shutdown = Shutdown()


def run_job(job_id: int) -> None:
    """Run the job if it is there to be taken; a second message for the same job finds nothing to do."""
    if shutdown.begun:
        # The message is used up; the row says that another worker must be sent one.
        Job.objects.filter(pk=job_id, state=JobState.QUEUED).update(published_at=None)
        return
    job = job_claim(job_id, worker=f"{socket.gethostname()}:{os.getpid()}")
    if job is None:
        return
    interruptions = Interruptions()
    shutdown.enter(interruptions)
    try:
        if is_isolated(job):
            run_in_child(job, interruptions)
        else:
            execute(job, interruptions)
    finally:
        shutdown.leave(interruptions)
    if not shutdown.begun:
        wake_next(job.queue)


def is_isolated(job: Job) -> bool:
    try:
        return kind_of(job.kind).isolated
    except UnknownJobKind:
        return False
