"""Who may work on a job. Every change of state is one conditional UPDATE, whose row count says who won.

A claim is the pair (job, fence). The fence grows with each claim, and each later write names it: a worker
that was stopped, cut off or declared dead finds that its writes no longer match any row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from webapp.jobs.clock import database_time
from webapp.jobs.endings import ended_tell, subject_notify
from webapp.jobs.messages import Message, Text
from webapp.jobs.models import Job, JobState
from webapp.jobs.publishing import send_on_commit

ERROR_HEAD, ERROR_TAIL = 2_000, 6_000
# An attempt that a shutdown cut short is given back; attempts never go below zero.
ATTEMPT_BACK = Case(When(attempts__gt=0, then=F("attempts") - 1), default=Value(0))
LEASE_CLEARED: dict[str, Any] = {"lease_expires_at": None, "worker": "", "expected_end_at": None}


def shortened(error: Text) -> Text:
    """An error's text without its middle, when it is long: what happened stands first or last.

    Of a message, each of its values.
    """
    if isinstance(error, Message):
        return Message(
            error.msgid,
            {key: shortened(v) if isinstance(v, str | Message) else v for key, v in error.params.items()},
        )
    if len(error) <= ERROR_HEAD + ERROR_TAIL:
        return error
    return f"{error[:ERROR_HEAD]}\n…\n{error[-ERROR_TAIL:]}"


@dataclass(frozen=True)
class Claim:
    job_id: int
    fence: int

    @property
    def rows(self) -> QuerySet[Job]:
        """The job's row if this claim still holds it, else nothing."""
        return Job.objects.filter(pk=self.job_id, fence=self.fence, state=JobState.RUNNING)


def due() -> Q:
    """Rows whose backoff is over."""
    return Q(not_before__isnull=True) | Q(not_before__lte=Now())


def retry_delay_s(attempts: int) -> float:
    """Seconds to wait after so many failed attempts: the base, four times it, sixteen times it."""
    return float(settings.JOB_RETRY_S) * float(4 ** max(0, attempts - 1))


def job_claim(job_id: int, *, worker: str, ignore_backoff: bool = False) -> Job | None:
    """Take a queued job: count the attempt, raise the fence, start the lease. None if it is not to be had."""
    with transaction.atomic():
        rows = Job.objects.filter(pk=job_id, state=JobState.QUEUED, cancel_requested_at__isnull=True)
        taken = (rows if ignore_backoff else rows.filter(due())).update(
            state=JobState.RUNNING,
            fence=F("fence") + 1,
            attempts=F("attempts") + 1,
            worker=worker[:120],
            lease_expires_at=database_time(plus_s=settings.JOB_LEASE_S),
            heartbeat_at=Now(),
            started_at=Now(),
            not_before=None,
            expected_end_at=None,
        )
        return Job.objects.get(pk=job_id) if taken else None


@dataclass(frozen=True)
class Pulse:
    """What a worker learns about its claim: is it still its own, who works on it, was a cancel asked for?"""

    held: bool
    cancel_requested: bool = False
    worker: str = ""


def claim_check(claim: Claim) -> Pulse:
    row = claim.rows.values("cancel_requested_at", "worker").first()
    if row is None:
        return Pulse(held=False)
    return Pulse(held=True, cancel_requested=row["cancel_requested_at"] is not None, worker=row["worker"])


def claim_hand_over(claim: Claim, *, worker: str) -> bool:
    """Another process (an isolated job's own) goes on under this claim. False if the claim is lost."""
    return bool(
        claim.rows.update(
            worker=worker[:120],
            lease_expires_at=database_time(plus_s=settings.JOB_LEASE_S),
            heartbeat_at=Now(),
        )
    )


def claim_heartbeat(claim: Claim) -> bool:
    """Prolong the lease. False if the claim is lost."""
    return bool(
        claim.rows.update(lease_expires_at=database_time(plus_s=settings.JOB_LEASE_S), heartbeat_at=Now())
    )


def claim_finish(claim: Claim, result: dict[str, Any]) -> bool:
    """The work is done. False if the claim is lost; then nothing changed."""
    with transaction.atomic():
        changes = {"state": JobState.DONE, "result": result, "error": "", "finished_at": Now()}
        if not claim.rows.update(**changes, **LEASE_CLEARED):
            return False
        ended_tell(Job.objects.select_related("created_by").get(pk=claim.job_id))
        return True


def claim_fail(claim: Claim, error: Text) -> bool:
    """The work failed for good."""
    return _end(claim, JobState.FAILED, error=error)


def claim_cancel(claim: Claim) -> bool:
    """The cancel that somebody asked for has been carried out."""
    return _end(claim, JobState.CANCELLED, error="")


def claim_retry(claim: Claim, error: Text) -> bool:
    """An attempt failed in a way that may pass: back to the queue after a backoff; failed after the last."""
    with transaction.atomic():
        job = claim.rows.select_for_update().first()
        if job is None:
            return False
        if job.cancel_requested_at is not None:
            return claim_cancel(claim)
        if job.attempts >= job.max_attempts:
            return claim_fail(claim, error)
        delay_s = retry_delay_s(job.attempts)
        claim.rows.update(
            state=JobState.QUEUED,
            error=shortened(error),
            not_before=database_time(plus_s=delay_s) if delay_s else None,
            published_at=None if delay_s else Now(),
            **LEASE_CLEARED,
        )
        if not delay_s:
            send_on_commit(job.pk, job.queue)
        return True


def claim_release(claim: Claim) -> bool:
    """The worker is shutting down: back to the queue with the attempt given back, or cancelled if asked."""
    with transaction.atomic():
        job = claim.rows.select_for_update().first()
        if job is None:
            return False
        if job.cancel_requested_at is not None:
            return claim_cancel(claim)
        # Not sent here: the worker that is shutting down might take its own message. A reaper sends it.
        claim.rows.update(state=JobState.QUEUED, attempts=ATTEMPT_BACK, published_at=None, **LEASE_CLEARED)
        return True


def _end(claim: Claim, state: JobState, *, error: Text) -> bool:
    with transaction.atomic():
        if not claim.rows.update(state=state, error=shortened(error), finished_at=Now(), **LEASE_CLEARED):
            return False
        job = Job.objects.select_related("created_by").get(pk=claim.job_id)
        subject_notify(job)
        ended_tell(job)
        return True
