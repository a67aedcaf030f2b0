"""Running a claimed job's handler in this process, and writing down how it ended."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from typing import Any

from django.db import DatabaseError, InterfaceError, connection

from webapp.jobs.claims import (
    Claim,
    claim_cancel,
    claim_check,
    claim_fail,
    claim_finish,
    claim_release,
    claim_retry,
)
from webapp.jobs.context import Interruptions, JobContext
from webapp.jobs.errors import JobCancelled, JobLost, JobStopped, UnknownJobKind
from webapp.jobs.json_values import json_safe
from webapp.jobs.kinds import kind_of
from webapp.jobs.messages import said_by
from webapp.jobs.models import Job
from webapp.jobs.watch import Watch

logger = logging.getLogger(__name__)
SETTLE_TRIES = 5
SETTLE_PAUSE_S = 2.0


class Ending(Enum):
    """How a run of a handler ended."""

    DONE = "done"
    FAILED = "failed"
    RETRY = "retry"
    CANCELLED = "cancelled"
    RELEASED = "released"
    LOST = "lost"


def execute(job: Job, interruptions: Interruptions) -> tuple[Ending, Exception | None]:
    """Run the handler of a job that this process has claimed, then settle the job. The handler's error is
    returned, not raised.

    Inside a transaction (a test's) there is no watching thread: its connection could not see the job's row.
    """
    claim = Claim(job.pk, job.fence)
    watch: AbstractContextManager[Any] = (
        nullcontext() if connection.in_atomic_block else Watch(claim, interruptions)
    )
    with watch:
        ending, settle, error = _call_handler(job, claim, interruptions)
        held = True if settle is None else settled(settle)
    if not held:
        ending = Ending.LOST
    logger.info("job %d (%s, attempt %d): %s", job.pk, job.kind, job.attempts, ending.value)
    return ending, error


Settle = Callable[[], bool]


def _call_handler(
    job: Job, claim: Claim, interruptions: Interruptions
) -> tuple[Ending, Settle | None, Exception | None]:
    """The ending, the write that records it (None if there is nothing to write), the handler's error."""
    context = JobContext(job, interruptions)
    try:
        result = kind_of(job.kind).load()(context)
        context.write(force=True)
        if result is None and context.saw_stop:
            context.stop()
    except JobLost as error:
        return Ending.LOST, None, error
    except JobCancelled as error:
        return Ending.CANCELLED, lambda: claim_cancel(claim), error
    except JobStopped as error:
        return Ending.RELEASED, lambda: claim_release(claim), error
    except UnknownJobKind as error:
        message = said_by(error)
        return Ending.FAILED, lambda: claim_fail(claim, message), error
    except Exception as error:
        return (*_after_error(claim, context, error), error)
    values = json_safe(result or {})
    return Ending.DONE, lambda: claim_finish(claim, values), None


def _after_error(claim: Claim, context: JobContext, error: Exception) -> tuple[Ending, Settle]:
    flush_quietly(context)
    if settled(lambda: claim_check(claim).cancel_requested):
        return Ending.CANCELLED, lambda: claim_cancel(claim)
    if getattr(error, "permanent", False):
        said = said_by(error)
        return Ending.FAILED, lambda: claim_fail(claim, said)
    logger.warning("job %d raised", claim.job_id, exc_info=error)
    trace = "".join(traceback.format_exception(error))
    return Ending.RETRY, lambda: claim_retry(claim, trace)


def flush_quietly(context: JobContext) -> None:
    """Write the last lines of the log; they are a help, not worth another error."""
    try:
        context.write(force=True)
    except (JobLost, DatabaseError, InterfaceError) as error:
        logger.info("the last log lines of job %d were not written: %s", context.job.pk, error)


def settled(write: Settle) -> bool:
    """The write's answer. A database that is away for some seconds is waited for; after that it raises, and
    the reaper finds the lease expired."""
    for remaining in reversed(range(SETTLE_TRIES)):
        try:
            return write()
        except (DatabaseError, InterfaceError):
            if remaining == 0 or connection.in_atomic_block:
                raise
            logger.warning("the database did not answer; trying again", exc_info=True)
            connection.close()
            time.sleep(SETTLE_PAUSE_S)
    raise AssertionError("unreachable")
