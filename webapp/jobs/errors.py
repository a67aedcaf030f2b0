"""What a job's handler may raise, and what the context raises into it."""

from __future__ import annotations


class PermanentJobError(Exception):
    """The work cannot succeed however often it is tried. Give it a `message(...)`: people read it in their language."""

    permanent = True


class JobInterrupted(Exception):  # noqa: N818 - an interruption asked for, not an error
    """The handler must end now. Do not swallow it: let it pass through after tidying up."""


class JobCancelled(JobInterrupted):
    """A person asked for the cancel. Writes under `guarded()` are still accepted, to record the outcome."""


class JobStopped(JobInterrupted):
    """The worker is shutting down. The job goes back to the queue and loses no attempt."""


class JobLost(JobInterrupted):
    """Another worker holds the job, or it was ended.

    Nothing that this process writes is accepted any more.
    """


class UnknownJobKind(LookupError):  # noqa: N818
    """The kind is not in settings.JOB_KINDS."""


class JobStateError(Exception):
    """The job's state does not allow what was asked, for example the retry of a running job."""
