"""Reading webhooks and their log."""

from __future__ import annotations

from django.db.models import OuterRef, QuerySet, Subquery

from webapp.webhooks.models import Delivery, Webhook

PAGE_SIZE = 25


def webhook_rows(project_id: int) -> QuerySet[Webhook]:
    """A project's webhooks with the state of their newest delivery as `last_state`, newest first."""
    newest = Delivery.objects.filter(webhook_id=OuterRef("pk")).order_by("-pk").values("state")
    return Webhook.objects.filter(project_id=project_id).annotate(last_state=Subquery(newest[:1]))


def deliveries_of(webhook: Webhook) -> QuerySet[Delivery]:
    """Its deliveries with their events, newest first."""
    return Delivery.objects.filter(webhook=webhook).select_related("event").order_by("-pk")


def deliveries_page(webhook: Webhook, before: str) -> tuple[list[Delivery], int | None]:
    """One page of the log below a delivery's number, and the number to go on from."""
    rows = deliveries_of(webhook)
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    found = list(rows[: PAGE_SIZE + 1])
    return found[:PAGE_SIZE], found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else None
