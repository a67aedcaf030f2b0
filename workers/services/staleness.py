"""A model that was trained on labels which people have revised since is told of, once."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext_noop

from labeling.models import Role
from labeling.selectors.staleness import Revised, is_revised, revised_since
from webapp.jobs.messages import message
from webapp.notices.services import notice_send
from webapp.users.models import User
from webapp.webhooks.events import event_emit
from workers.models import ModelState, RewardModel


def stale_tick() -> int:
    """Tell of each model in use, or up for it, that has become stale: `model.stale` to webhooks, a notice to the
    managers. What was refused or retired is of no concern, until it is taken back. Returns how many were told of.
    """
    models = RewardModel.objects.filter(
        stale_told_at=None, state__in=[ModelState.CHAMPION, ModelState.CANDIDATE]
    )
    rows = models.select_related("project", "snapshot__project").order_by("pk")
    behind = ((model, revised_since(model.snapshot)) for model in rows if is_revised(model.snapshot))
    # A dear figure may be a little older than what was looked at just now: then the next tick tells.
    return sum(_tell(model, revised) for model, revised in behind if revised.labels)


def _tell(model: RewardModel, revised: Revised) -> bool:
    """Whoever sets the mark tells, so that two ticks at once tell once."""
    project = model.project
    with transaction.atomic():
        if not RewardModel.objects.filter(pk=model.pk, stale_told_at=None).update(stale_told_at=Now()):
            return False
        data = {
            "model": model.number,
            "snapshot": model.snapshot.number,
            "revised_labels": revised.labels,
            "comparisons": revised.comparisons,
        }
        event_emit(project_id=project.pk, kind="model.stale", data=data)
        notice_send(
            users=User.objects.filter(memberships__project=project, memberships__role=Role.MANAGER),
            kind="model.stale",
            text=message(
                gettext_noop(
                    "Reward model %(model)s of %(project)s is stale: labels that it was trained on were revised since."
                ),
                model=str(model),
                project=project.name,
            ),
            url=reverse("workers:model-detail", args=[project.slug, model.number]),
            project_id=project.pk,
        )
    return True
