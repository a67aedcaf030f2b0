"""Running a round's jobs in this process."""

from __future__ import annotations

from uuid import UUID

from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job, JobState


class RoundError(Exception):
    """The round cannot go on; the message says what happened and what to do."""


def run_job(uid: UUID | str | None) -> Job:
    """Run a queued job here; raises RoundError if it does not end well."""
    job = run_inline(Job.objects.get(uid=uid or UUID(int=0)))
    if job.state != JobState.DONE:
        raise RoundError(f"{job} ended as {job.state}: {str(job.error).strip()[-2000:]}")
    return job
