"""Mending: expired leases go back to the queue or are declared dead, lost messages are sent again.

Any number of reapers may run at once: every step is a conditional update.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from webapp.jobs.beats import workers_alive
from webapp.jobs.claims import LEASE_CLEARED, Claim, claim_cancel, claim_fail, due
from webapp.jobs.clock import database_time
from webapp.jobs.messages import message
from webapp.jobs.models import Job, JobState
from webapp.jobs.publishing import send_wake_up

logger = logging.getLogger(__name__)
STALE_S = 30
DOUBT_AFTER_S = 15 * 60
# A worker busy for hours must not find its queue full of repeats: only the head of each queue is sent again, and
# every finished job wakes the next one (`wake_next`). See `_lost_messages` for how often.
HEAD_OF_QUEUE = 20
BATCH = 500


@dataclass(frozen=True)
class Reaped:
    requeued: int
    dead: int
    cancelled: int
    published: int


def reap() -> Reaped:
    """One pass. Cheap when there is nothing to mend: three queries on the index of active jobs."""
    endings = [_end_lease(pk) for pk in _expired_ids()]
    return Reaped(
        requeued=endings.count(JobState.QUEUED),
        dead=endings.count(JobState.FAILED),
        cancelled=endings.count(JobState.CANCELLED),
        published=_publish_due(),
    )


def _expired_ids() -> list[int]:
    rows = Job.objects.filter(state=JobState.RUNNING, lease_expires_at__lt=Now()).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:BATCH])


@transaction.atomic
def _end_lease(pk: int) -> JobState | None:
    """End one expired lease; None if it is held again by now, or its worker is just writing."""
    rows = Job.objects.filter(pk=pk, state=JobState.RUNNING, lease_expires_at__lt=Now())
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True)
    job = rows.first()
    if job is None:
        return None
    claim = Claim(job.pk, job.fence)
    if job.cancel_requested_at is not None:
        claim_cancel(claim)
        return JobState.CANCELLED
    worker = job.worker or "?"
    if job.attempts >= job.max_attempts:
        death = gettext_noop(
            "The worker %(worker)s stopped answering. That was attempt %(attempt)d of %(most)d.\n%(before)s"
        )
        claim_fail(
            claim,
            message(death, worker=worker, attempt=job.attempts, most=job.max_attempts, before=job.error),
        )
        logger.warning("job %d (%s) is dead after %d attempts", job.pk, job.kind, job.attempts)
        return JobState.FAILED
    silence = message(gettext_noop("The worker %(worker)s stopped answering."), worker=worker)
    claim.rows.update(state=JobState.QUEUED, published_at=None, error=silence, **LEASE_CLEARED)
    return JobState.QUEUED


def _publish_due() -> int:
    waiting = Job.objects.filter(due(), state=JobState.QUEUED).order_by("pk")
    never_sent = list(waiting.filter(published_at__isnull=True)[:BATCH])
    queues = Job.objects.filter(state=JobState.QUEUED).order_by().values_list("queue", flat=True).distinct()
    lost = [job for queue in queues for job in _lost_messages(waiting.filter(queue=queue), queue)]
    return sum(_publish(job) for job in [*never_sent, *lost])


def _lost_messages(waiting: QuerySet[Job], queue: str) -> list[Job]:
    """Jobs at the head of a queue whose message must be taken for lost.

    Where a worker listens and nothing of its queues is at work, that is every message older than 30 seconds.
    Otherwise waiting is what messages do, and a message is doubted only once it is as old as its job was when
    it was sent, or a quarter of an hour: after 30 seconds, a minute, two, four, eight, and then every 15 minutes.
    """
    head = list(waiting.annotate(now=Now())[:HEAD_OF_QUEUE])
    sent = [(job, job.published_at, job.now) for job in head if job.published_at is not None]
    stale = [(job, at, now) for job, at, now in sent if (now - at).total_seconds() > STALE_S]
    if not stale:
        return []
    busy = set(
        Job.objects.filter(state=JobState.RUNNING).order_by().values_list("queue", flat=True).distinct()
    )
    if any(queue in beat.queues and not busy.intersection(beat.queues) for beat in workers_alive()):
        return [job for job, _at, _now in stale]
    ceiling = timedelta(seconds=DOUBT_AFTER_S)
    return [job for job, at, now in stale if now - at >= min(at - job.created_at, ceiling)]


def _publish(job: Job) -> bool:
    """Send the message unless another reaper has just done so."""
    same = Q(published_at__isnull=True) if job.published_at is None else Q(published_at=job.published_at)
    if not Job.objects.filter(same, pk=job.pk, state=JobState.QUEUED).update(published_at=Now()):
        return False
    return send_wake_up(job.pk, job.queue)


def wake_next(queue: str) -> bool:
    """Send the oldest stale message of a queue again.

    After a broker's loss, one finished job wakes the next.
    """
    job = (
        Job.objects.filter(due(), state=JobState.QUEUED, queue=queue)
        .filter(Q(published_at__isnull=True) | Q(published_at__lt=database_time(plus_s=-STALE_S)))
        .order_by("pk")
        .first()
    )
    return job is not None and _publish(job)
