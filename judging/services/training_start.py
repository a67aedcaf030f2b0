"""Asking for the training of a small local judge. No torch here: web processes use this."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from labeling.models import Project, Snapshot, SnapshotState
from webapp.audit.services import record
from webapp.jobs.messages import message
from webapp.jobs.models import Job
from webapp.jobs.services import job_enqueue
from webapp.users.models import User


@transaction.atomic
def judge_training_start(
    *,
    project: Project,
    name: str,
    snapshot: Snapshot,
    max_pairs: int | None = None,
    created_by: User | None = None,
) -> Job:
    """Train a judge called `name` (a new version of it, if there is one) on a ready snapshot, as a job.

    `max_pairs` bounds how much of the training split is read; None means as much as the service allows.

    Raises ValidationError.
    """
    name = name.strip()
    if not name:
        raise ValidationError({"name": _("Give the judge a name.")})
    if snapshot.project_id != project.pk or snapshot.state != SnapshotState.READY:
        raise ValidationError({"snapshot": _("Choose a snapshot of this project that is ready.")})
    job = job_enqueue(
        kind="judge.train_local",
        params={"name": name[:80], "snapshot": snapshot.number, "max_pairs": max_pairs},
        project_id=project.pk,
        title=message(gettext_noop("Train judge %(name)s"), name=name),
        created_by=created_by,
    )
    record(
        action="judge.train", subject=name, actor=created_by, project_id=project.pk, snapshot=snapshot.number
    )
    return job
