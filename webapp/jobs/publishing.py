"""Sending a job's id to the workers.

A message that is lost is sent again by the reaper, so failing is no error.
"""

from __future__ import annotations

import logging

from django.db import transaction

from webapp.celery import app
from webapp.jobs.models import Job, JobState

logger = logging.getLogger(__name__)
RUN_TASK = "jobs.run"


def send_wake_up(job_id: int, queue: str) -> bool:
    """Send the message now. Without a broker the row is marked as never sent, and the reaper takes over."""
    try:
        app.send_task(RUN_TASK, kwargs={"job_id": job_id}, queue=queue, retry=False, ignore_result=True)
    except Exception as error:  # a broker client raises what its driver raises; the row holds the truth
        logger.warning("job %d could not be sent to queue %s: %s", job_id, queue, error)
        Job.objects.filter(pk=job_id, state=JobState.QUEUED).update(published_at=None)
        return False
    return True


def send_on_commit(job_id: int, queue: str) -> None:
    """Send the message once the surrounding transaction has committed; at once when there is none."""
    transaction.on_commit(lambda: send_wake_up(job_id, queue))
