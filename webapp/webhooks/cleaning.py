"""Removing what is no longer wanted: the log after 30 days, and what deleted projects and webhooks leave behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from webapp.webhooks.events import subscriptions_forget
from webapp.webhooks.models import Delivery, DeliveryState, Event, Webhook

KEEP = timedelta(days=30)
BATCH = 5_000


def log_sweep() -> int:
    """Remove events of more than 30 days ago that wait for nobody, and deliveries to deleted webhooks.

    At most 5,000 of each at a time, so that nobody waits for it. Returns how many rows are gone.
    """
    known = Webhook.objects.filter(pk=OuterRef("webhook_id")).order_by()
    orphans = Delivery.objects.filter(~Exists(known)).order_by().values_list("pk", flat=True)[:BATCH]
    removed, _by_model = Delivery.objects.filter(pk__in=list(orphans)).delete()
    waiting = Delivery.objects.filter(event_id=OuterRef("pk"), state=DeliveryState.WAITING).order_by()
    old = Event.objects.filter(~Exists(waiting), created_at__lt=Now() - KEEP).order_by("created_at")
    gone, _by_model = Event.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:BATCH])).delete()
    return removed + gone


def webhooks_remove(project_id: int) -> None:
    """Remove a project's webhooks with secrets and log; call it in the transaction that deletes the project."""
    Webhook.objects.filter(project_id=project_id).delete()
    events = Event.objects.filter(project_id=project_id).order_by()
    while numbers := list(events.values_list("pk", flat=True)[:BATCH]):
        Event.objects.filter(pk__in=numbers).only("pk").delete()
    subscriptions_forget(project_id)


def leftovers_remove(projects: QuerySet[Any]) -> int:
    """Remove the webhooks of projects that are not among these rows, with secrets and log. Returns of how many.

    Events of a project that has no webhook any more go with the log.
    """
    orphans = Webhook.objects.exclude(project_id__in=projects.order_by().values("pk")).order_by()
    numbers = set(orphans.values_list("project_id", flat=True))
    for number in numbers:
        webhooks_remove(number)
    return len(numbers)
