"""Running a job to its end in this process, by a worker's rules: for management commands and tests."""

from __future__ import annotations

import os
import socket

from webapp.jobs.claims import job_claim
from webapp.jobs.context import Interruptions
from webapp.jobs.execution import Ending, execute
from webapp.jobs.models import Job


def run_inline(job: Job, *, reraise: bool = False) -> Job:
    """Claim and run the job, again after errors that may pass (without waiting), until it has ended.

    Returns the job as it then stands: look at `state`. If another worker holds it, it is returned as it is.
    With `reraise`, the handler's last error is raised once the job has failed.
    """
    worker = f"inline@{socket.gethostname()}:{os.getpid()}"
    last_error: Exception | None = None
    while claimed := job_claim(job.pk, worker=worker, ignore_backoff=True):
        ending, last_error = execute(claimed, Interruptions())
        if ending is not Ending.RETRY:
            break
    if reraise and last_error is not None:
        raise last_error
    return Job.objects.get(pk=job.pk)
