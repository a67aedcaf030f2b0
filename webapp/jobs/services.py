"""Asking for work, and for its end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from webapp.audit.services import record
from webapp.jobs.endings import subject_notify
from webapp.jobs.errors import JobStateError
from webapp.jobs.kinds import job_kinds, kind_of
from webapp.jobs.messages import Text, cut
from webapp.jobs.models import ACTIVE_STATES, Job, JobState
from webapp.jobs.publishing import send_on_commit
from webapp.users.models import User


def job_enqueue(
    *,
    kind: str,
    params: dict[str, Any],
    project_id: int | None = None,
    title: Text = "",
    created_by: User | None = None,
    not_before: datetime | None = None,
    retry_of: Job | None = None,
) -> Job:
    """Add a job to the queue, inside the caller's transaction; workers hear of it once that has committed.

    `params` must be JSON. Raises UnknownJobKind for a kind that is not in settings.JOB_KINDS.
    """
    known = kind_of(kind)
    job = Job.objects.create(
        kind=kind,
        queue=known.queue,
        title=cut(title, 300),
        project_id=project_id,
        created_by=created_by,
        params=params,
        max_attempts=known.max_attempts,
        not_before=not_before,
        published_at=None if not_before else timezone.now(),
        retry_of=retry_of,
    )
    if not_before is None:
        send_on_commit(job.pk, job.queue)
    return job


@transaction.atomic
def job_cancel(job: Job, *, actor: User | None = None) -> Job:
    """Cancel: at once while queued; a running job is asked to end, and its worker carries that out.

    Cancelling an ended job changes nothing. Returns the job as it now stands.
    """
    rows = Job.objects.filter(pk=job.pk, cancel_requested_at__isnull=True)
    ended = rows.filter(state=JobState.QUEUED).update(
        state=JobState.CANCELLED, cancel_requested_at=Now(), finished_at=Now(), lease_expires_at=None
    )
    asked = ended or rows.filter(state=JobState.RUNNING).update(cancel_requested_at=Now())
    job = Job.objects.get(pk=job.pk)
    if ended:
        subject_notify(job)
    if asked:
        _record(job, "job.cancel", actor)
    return job


def _record(job: Job, action: str, actor: User | None) -> None:
    """An event of the audit log, which is written in English whoever did the deed."""
    with translation.override("en"):
        subject = str(job)
    record(action=action, subject=subject, actor=actor, project_id=job.project_id, job=str(job.uid))


@transaction.atomic
def job_retry(job: Job, *, actor: User | None = None) -> Job:
    """A new job with the same parameters, for one that failed or was cancelled.

    Asking twice gives the same new job while that one is active. Raises JobStateError for any other state.
    """
    job = Job.objects.select_for_update().get(pk=job.pk)
    if job.state not in {JobState.FAILED, JobState.CANCELLED}:
        raise JobStateError(_("Only a job that failed or was cancelled can be tried again."))
    if job.kind not in job_kinds():
        raise JobStateError(_("This kind of job no longer exists."))
    again = Job.objects.filter(retry_of=job, state__in=ACTIVE_STATES).first()
    if again is not None:
        return again
    _record(job, "job.retry", actor)
    return job_enqueue(
        kind=job.kind,
        params=job.params,
        project_id=job.project_id,
        title=job.title,
        created_by=actor,
        retry_of=job,
    )


def jobs_cancel_for_project(project_id: int, *, actor: User | None = None) -> int:
    """Cancel all active jobs of a project; call it in the transaction that deletes the project.

    Returns how many.
    """
    jobs = list(Job.objects.filter(project_id=project_id, state__in=ACTIVE_STATES).order_by("pk"))
    for job in jobs:
        job_cancel(job, actor=actor)
    return len(jobs)
