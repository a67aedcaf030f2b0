"""Webhooks: made, changed, given a new secret, tried, removed. The secret is shown once and never again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from webapp.addresses import OutboundError
from webapp.audit.services import record
from webapp.jobs.clock import database_time
from webapp.outbound import Secret, check_outbound_url
from webapp.sealing import seal
from webapp.users.models import User
from webapp.webhooks.events import deliveries_create, subscriptions_forget, wake_up
from webapp.webhooks.kinds import NAMES, TEST
from webapp.webhooks.models import Delivery, DeliveryState, Webhook
from webapp.webhooks.signing import secret_new

OLD_SECRET = timedelta(hours=24)


class WebhookStateError(Exception):
    """What was asked for cannot be done as things stand; the message says why."""


@dataclass(frozen=True)
class WebhookChange:
    """What is to be changed; None leaves a field as it is."""

    name: str | None = None
    url: str | None = None
    events: Collection[str] | None = None
    is_enabled: bool | None = None


@sensitive_variables("secret")
def webhook_create(
    *, project_id: int, name: str, url: str, events: Collection[str], created_by: User | None = None
) -> tuple[Webhook, Secret]:
    """A new webhook and its secret, which nothing shows again. Raises ValidationError.

    Refused are a name in use, an unknown event, and an address that may not be called.
    """
    secret = secret_new()
    webhook = Webhook(
        project_id=project_id,
        name=name,
        url=url,
        events=sorted(events),
        secret_sealed=seal(secret),
        created_by=created_by,
    )
    _check(webhook)
    with transaction.atomic():
        webhook.save(force_insert=True)
        _record("webhook.create", webhook, created_by, events=webhook.events)
    subscriptions_forget(project_id)
    return webhook, secret


def webhook_update(webhook: Webhook, change: WebhookChange, *, actor: User | None = None) -> Webhook:
    """Change what is given; switching off cancels what waits. Raises ValidationError."""
    is_moved = change.url is not None and change.url != webhook.url
    was_enabled = webhook.is_enabled
    for field in ("name", "url", "is_enabled"):
        value = getattr(change, field)
        if value is not None:
            setattr(webhook, field, value)
    if change.events is not None:
        webhook.events = sorted(change.events)
    _check(webhook, is_moved=is_moved)
    if is_moved or (webhook.is_enabled and not was_enabled):
        webhook.failing_since, webhook.disabled_reason = None, ""
    fields = ["name", "url", "events", "is_enabled", "failing_since", "disabled_reason"]
    with transaction.atomic():
        webhook.save(update_fields=fields)
        if was_enabled and not webhook.is_enabled:
            waiting_cancel(webhook)
        _record("webhook.update", webhook, actor, moved=is_moved, is_enabled=webhook.is_enabled)
    subscriptions_forget(webhook.project_id)
    return webhook


@sensitive_variables("secret")
@transaction.atomic
def webhook_rotate(webhook: Webhook, *, actor: User | None = None) -> Secret:
    """A new secret. For a day messages are signed with both, so that the receiver can change over."""
    secret = secret_new()
    locked = Webhook.objects.select_for_update(no_key=True).get(pk=webhook.pk)
    locked.old_secret_sealed, locked.secret_sealed = locked.secret_sealed, seal(secret)
    locked.old_secret_until = timezone.now() + OLD_SECRET
    locked.save(update_fields=["secret_sealed", "old_secret_sealed", "old_secret_until"])
    _record("webhook.rotate", locked, actor)
    return secret


@transaction.atomic
def webhook_delete(webhook: Webhook, *, actor: User | None = None) -> None:
    """Remove it with its secret and its log."""
    _record("webhook.delete", webhook, actor)
    subscriptions_forget(webhook.project_id)
    webhook.delete()


@transaction.atomic
def webhook_test(webhook: Webhook) -> Delivery:
    """Send an event that means nothing, whatever the webhook asks for. Raises WebhookStateError."""
    if not webhook.is_enabled:
        raise WebhookStateError(_("This webhook is switched off. Switch it on first."))
    data = {"webhook": str(webhook.uid)}
    made = deliveries_create(project_id=webhook.project_id, kind=TEST, data=data, webhooks=[webhook.pk])
    return Delivery.objects.select_related("event").get(pk=made[0].pk)


@transaction.atomic
def delivery_retry(delivery: Delivery) -> Delivery:
    """Send an event again, under its old id, with all attempts before it. Raises WebhookStateError.

    A delivery that waits comes next instead of later; one that is being sent at this moment is left alone.
    """
    locked = Delivery.objects.select_for_update(of=("self",)).select_related("webhook").get(pk=delivery.pk)
    if not locked.webhook.is_enabled:
        raise WebhookStateError(_("This webhook is switched off. Switch it on first."))
    if locked.is_waiting and locked.lease_until is not None and locked.lease_until > timezone.now():
        raise WebhookStateError(_("This delivery is being sent at this moment."))
    Delivery.objects.filter(pk=locked.pk).update(
        state=DeliveryState.WAITING, attempts=0, next_at=database_time(), lease_until=None
    )
    transaction.on_commit(wake_up, robust=True)
    return Delivery.objects.select_related("event", "webhook").get(pk=locked.pk)


def waiting_cancel(webhook: Webhook) -> int:
    """What still waits is not sent any more; each can be sent again by hand. Returns how many."""
    waiting = Delivery.objects.filter(webhook=webhook, state=DeliveryState.WAITING)
    return waiting.update(state=DeliveryState.CANCELLED, lease_until=None)


def _check(webhook: Webhook, *, is_moved: bool = True) -> None:
    problems: dict[str, list[str]] = {}
    unknown = sorted(set(webhook.events) - NAMES)
    if unknown:
        problems["events"] = [_("There is no event called %(name)s.") % {"name": unknown[0]}]
    elif not webhook.events:
        problems["events"] = [_("Choose at least one event.")]
    same = Webhook.objects.filter(project_id=webhook.project_id, name=webhook.name).exclude(pk=webhook.pk)
    if same.exists():
        problems["name"] = [_("Another webhook of this project has this name.")]
    if is_moved:
        try:
            check_outbound_url(webhook.url, allow=settings.OUTBOUND_ALLOW)
        except OutboundError as error:
            problems["url"] = [str(error)]
    if problems:
        raise ValidationError(problems)


def _record(action: str, webhook: Webhook, actor: User | None, **detail: object) -> None:
    """An audit event; of the address only the host, as its path may be a secret of the receiver's."""
    host = urlsplit(webhook.url).hostname or ""
    record(
        action=action, subject=webhook.name, actor=actor, project_id=webhook.project_id, host=host, **detail
    )
