"""What people and managers are told of a batch."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext_noop

from labeling.models import Batch, Role
from webapp.jobs.messages import message
from webapp.notices.services import notice_send
from webapp.users.models import User

KEPT = gettext_noop("Comparisons in %(project)s are kept for you. They come first on your label page.")
DUE = gettext_noop("Comparisons in %(project)s are kept for you until tomorrow.")
# What managers are told of, by the field that says when.
TO_MANAGERS = {
    "over_told_at": (
        "batch.over",
        gettext_noop("The deadline of the batch %(batch)s in %(project)s is over, and some of it is left."),
    ),
    "stuck_told_at": (
        "batch.stuck",
        gettext_noop(
            "The people of the batch %(batch)s in %(project)s have answered all they can, and some of it lacks labels."
        ),
    ),
}


@transaction.atomic
def batch_tell(batch: Batch, stamp: str, moment: datetime) -> int:
    """Of a deadline that is near (`stamp` is due_told_at) its people, of what `TO_MANAGERS` lists the managers. 0 where
    they were told before."""
    if not Batch.objects.filter(pk=batch.pk, **{stamp: None}).update(**{stamp: moment}):
        return 0
    project = batch.project
    if stamp == "due_told_at":
        people_tell(batch, User.objects.filter(labelers__batch_places__batch=batch), "batch.due", DUE)
        return 1
    kind, words = TO_MANAGERS[stamp]
    notice_send(
        users=User.objects.filter(memberships__project=project, memberships__role=Role.MANAGER),
        kind=kind,
        text=message(words, batch=batch.name, project=project.name),
        url=reverse("labeling:work-batch", args=[project.slug, batch.uid]),
        project_id=project.pk,
    )
    return 1


def people_tell(batch: Batch, users: QuerySet[User], kind: str = "batch.new", text: str = KEPT) -> None:
    """They read it before they vote: not even the batch's name."""
    notice_send(
        users=users,
        kind=kind,
        text=message(text, project=batch.project.name),
        url=reverse("labeling:label", args=[batch.project.slug]),
        project_id=batch.project_id,
    )
