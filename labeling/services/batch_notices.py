"""What people and managers are told of a batch."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext_noop

from labeling.access import Capability
from labeling.models import (
    Assignment,
    AssignmentState,
    Batch,
    BatchPerson,
    Comparison,
    ComparisonState,
    Membership,
    Role,
)
from labeling.services.bookmark import IN_BATCH
from labeling.services.sources import not_had
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
            "Nobody of the batch %(batch)s in %(project)s can answer more of it, and some of it lacks labels."
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


def stuck_among(waiting: QuerySet[Batch]) -> list[int]:
    """Those of these batches, which have comparisons left, of which nobody has one in hand or may be given one: who is
    paused, has failed to qualify, or labels here no longer is given none."""
    in_hand = Assignment.objects.filter(
        comparison__batch=OuterRef("pk"),
        comparison__state=ComparisonState.OPEN,
        state=AssignmentState.LEASED,
    )
    of_batch = Comparison.objects.filter(IN_BATCH, batch=OuterRef("batch"))
    not_answered = not_had(OuterRef(OuterRef("labeler")), of_batch)
    membership = Membership.objects.filter(
        project=OuterRef("labeler__project"),
        user=OuterRef("labeler__user"),
        role__in=Capability.LABEL.value,
    )
    has_failed = Q(
        labeler__project__qualification_size__gt=0,
        labeler__qualified_at__isnull=True,
        labeler__failed_at__isnull=False,
    )
    asked = BatchPerson.objects.filter(
        ~has_failed,
        Exists(membership) | Q(labeler__user__is_superuser=True),
        Exists(not_answered),
        batch=OuterRef("pk"),
        labeler__user__is_active=True,
        labeler__paused_at__isnull=True,
    )
    return list(waiting.filter(~Exists(in_hand), ~Exists(asked)).values_list("pk", flat=True))
