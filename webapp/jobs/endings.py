"""What the end of a job sets off, in the transaction that ends it."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext_noop

from webapp.jobs.errors import UnknownJobKind
from webapp.jobs.kinds import kind_of
from webapp.jobs.messages import message
from webapp.jobs.models import Job, JobState
from webapp.notices.services import notice_send
from webapp.users.models import User

logger = logging.getLogger(__name__)
# Whoever waits no longer than that is taken to have watched.
WATCHED = timedelta(minutes=1)


def ended_tell(job: Job) -> None:
    """Tell whoever asked for the job that it failed, or is done after more than a minute. Nobody is told of what
    somebody has cancelled, be it with the whole project, nor of what the schedule asked for.

    What goes wrong here is logged and undone alone: a notice must not keep a job from ending.
    """
    took = job.finished_at - job.created_at if job.finished_at else timedelta()
    is_told = job.state == JobState.FAILED or (job.state == JobState.DONE and took > WATCHED)
    if job.created_by is None or job.cancel_requested_at is not None or not is_told:
        return
    try:
        with transaction.atomic():
            _tell(job, job.created_by)
    except Exception:
        logger.exception("nobody was told of the end of job %d (%s)", job.pk, job.kind)


def _tell(job: Job, person: User) -> None:
    words = gettext_noop("Failed: %(job)s") if job.state == JobState.FAILED else gettext_noop("Done: %(job)s")
    notice_send(
        users=[person],
        kind=f"job.{job.state}",
        text=message(words, job=job.title or str(job)),
        url=reverse("jobs:detail", args=[job.uid]),
        project_id=job.project_id,
    )


def subject_notify(job: Job) -> None:
    """Tell the subject's storey that its job failed or was cancelled.

    What the hook raises is logged and undone alone: a faulty hook must not keep a job from ending.
    """
    try:
        hook = kind_of(job.kind).load_on_ended()
        if hook is not None:
            with transaction.atomic():
                hook(job)
    except UnknownJobKind:
        logger.info("job %d has a kind that is no longer known: %s", job.pk, job.kind)
    except Exception:
        logger.exception("the on_ended hook of job %d (%s) failed", job.pk, job.kind)
