"""Which deliveries a worker may send now, and what came of each. Short transactions; nothing is called inside them.

A claim is the pair (delivery, fence). It makes the row due again after LEASE_S, should its worker die, and only
the newest claim may write an outcome: at least once, and never two outcomes for one attempt.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext_noop

from webapp.jobs.clock import database_time
from webapp.jobs.messages import Message, Text, message
from webapp.notices.services import notice_send
from webapp.outbound import Secret
from webapp.sealing import SealError, unseal
from webapp.webhooks.events import subscriptions_forget
from webapp.webhooks.models import Delivery, DeliveryState, Webhook

LEASE_S = 60
AT_ONCE_EACH = 2
# Seconds to wait after the first, second, … failed attempt; the tenth is the last.
DELAYS_S = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
JITTER = 0.1
RETRY_AFTER_MAX_S = 24 * 3600
SWITCHED_OFF_AFTER = timedelta(days=5)
GONE = 410

_random = secrets.SystemRandom()


@dataclass(frozen=True)
class Claim:
    """Everything that the call needs, read once. `keys` sign; none where a stored secret cannot be opened."""

    delivery_id: int
    webhook_id: int
    fence: int
    attempt: int
    url: str
    message_id: str
    body: bytes
    keys: tuple[Secret, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt. `status` is None where no answer came; `error` then says why."""

    status: int | None
    error: Text
    elapsed_ms: int
    answer: str = ""
    retry_after_s: float = 0.0

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def delay_s(attempt: int, *, retry_after_s: float = 0.0) -> float | None:
    """Seconds until the next attempt after so many failed ones, with up to a tenth on top; None after the last.

    The receiver's own wish counts where it is longer, up to a day.
    """
    if attempt > len(DELAYS_S):
        return None
    spread = 1 + JITTER * _random.random()
    return max(DELAYS_S[attempt - 1] * spread, min(retry_after_s, RETRY_AFTER_MAX_S))


def claims_take(limit: int) -> list[Claim]:
    """Up to `limit` due deliveries, at most two at once for each webhook. One query when nothing is due.

    Webhooks come in random order, and a long queue of one takes no place of another.
    """
    due = Delivery.objects.filter(
        webhook_id=OuterRef("pk"), state=DeliveryState.WAITING, next_at__lte=Now()
    ).order_by()
    hooks = list(Webhook.objects.filter(Exists(due), is_enabled=True).order_by().values_list("pk", flat=True))
    _random.shuffle(hooks)
    claims: list[Claim] = []
    for hook in hooks:
        if len(claims) >= limit:
            break
        claims += _claims_of(hook, limit - len(claims))
    return claims


@transaction.atomic
def _claims_of(webhook_id: int, limit: int) -> list[Claim]:
    # The webhook's row puts workers in a line, so that together they hold no more than two.
    webhook = Webhook.objects.select_for_update(no_key=True).filter(pk=webhook_id, is_enabled=True).first()
    if webhook is None:
        return []
    waiting = Delivery.objects.filter(webhook=webhook, state=DeliveryState.WAITING)
    at_work = waiting.filter(next_at__gt=Now(), lease_until__gt=Now()).count()
    free = min(AT_ONCE_EACH - at_work, limit)
    if free <= 0:
        return []
    due = waiting.filter(next_at__lte=Now()).select_related("event").order_by("next_at", "pk")
    rows = list(due[:free])
    ends = database_time(plus_s=LEASE_S)
    Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(
        attempts=F("attempts") + 1, fence=F("fence") + 1, lease_until=ends, next_at=ends
    )
    keys = _keys_of(webhook)
    return [
        Claim(
            delivery_id=row.pk,
            webhook_id=webhook.pk,
            fence=row.fence + 1,
            attempt=row.attempts + 1,
            url=webhook.url,
            message_id=row.event.message_id,
            body=row.event.payload.encode(),
            keys=keys,
        )
        for row in rows
    ]


def _keys_of(webhook: Webhook) -> tuple[Secret, ...]:
    """The present secret and, for a day after a rotation, the one before."""
    sealed = [webhook.secret_sealed]
    until = webhook.old_secret_until
    if webhook.old_secret_sealed and until is not None and until > timezone.now():
        sealed.append(webhook.old_secret_sealed)
    try:
        return tuple(unseal(text) for text in sealed)
    except SealError:
        return ()


@transaction.atomic
def outcome_record(claim: Claim, outcome: Outcome) -> bool:
    """Write what came of an attempt; False where a later claim has taken over, or the delivery was cancelled."""
    rows = Delivery.objects.filter(pk=claim.delivery_id, fence=claim.fence, state=DeliveryState.WAITING)
    wait = delay_s(claim.attempt, retry_after_s=outcome.retry_after_s)
    if outcome.is_success:
        state = DeliveryState.DELIVERED
    else:
        state = DeliveryState.FAILED if wait is None or outcome.status == GONE else DeliveryState.WAITING
    written = rows.update(
        state=state,
        lease_until=None,
        next_at=database_time(plus_s=wait or 0.0),
        last_at=Now(),
        last_status=outcome.status,
        last_error=outcome.error,
        last_ms=outcome.elapsed_ms,
        answer=outcome.answer,
    )
    if written:
        _note(claim.webhook_id, outcome)
    return bool(written)


def _note(webhook_id: int, outcome: Outcome) -> None:
    """Keep count of how long nothing has worked; a webhook that is gone, or fails for days, is switched off."""
    hooks = Webhook.objects.filter(pk=webhook_id)
    if outcome.is_success:
        hooks.filter(failing_since__isnull=False).update(failing_since=None)
        return
    hooks.filter(failing_since__isnull=True).update(failing_since=Now())
    if outcome.status == GONE:
        _switch_off(webhook_id, message(gettext_noop("The receiver answered 410: it is gone for good.")))
    elif hooks.filter(failing_since__lt=Now() - SWITCHED_OFF_AFTER).exists():
        _switch_off(webhook_id, message(gettext_noop("Nothing arrived there for five days.")))


def _switch_off(webhook_id: int, reason: Message) -> None:
    hook = Webhook.objects.filter(pk=webhook_id, is_enabled=True).first()
    if hook is None:
        return
    Webhook.objects.filter(pk=webhook_id).update(is_enabled=False, disabled_reason=reason)
    waiting = Delivery.objects.filter(webhook_id=webhook_id, state=DeliveryState.WAITING)
    waiting.update(state=DeliveryState.CANCELLED, lease_until=None)
    subscriptions_forget(hook.project_id)
    _tell_managers(hook, reason)


def _tell_managers(hook: Webhook, reason: Message) -> None:
    slug, managers = import_string(settings.PROJECT_MANAGERS)(hook.project_id)
    if slug:
        notice_send(
            users=managers,
            kind="webhook.switched_off",
            text=message(
                gettext_noop("The webhook %(name)s was switched off. %(reason)s"),
                name=hook.name,
                reason=reason,
            ),
            url=reverse("webhooks:detail", args=[slug, hook.uid]),
            project_id=hook.project_id,
        )
