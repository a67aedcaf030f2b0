"""Telling webhooks of an event: rows in the transaction of the deed, so that both stand or fall.

What asks for a project's events is kept in each process for SUBSCRIBED_S seconds: a vote in a project without
webhooks costs no statement, and a new webhook hears of everything within that time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import orjson
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from webapp.caches import page_cache
from webapp.celery import app
from webapp.webhooks.models import Delivery, Event, Webhook

logger = logging.getLogger(__name__)
SUBSCRIBED_S = 5
WAKE_EVERY_S = 1
MAX_PAYLOAD_BYTES = 20_000
DELIVER_TASK = "webhooks.deliver"


def event_emit(*, project_id: int, kind: str, data: Mapping[str, Any]) -> None:
    """Note an event for every webhook of the project that asks for this kind; call it inside the transaction.

    `data` is thin, as everybody with the address reads it: ids, outcomes and numbers, no texts and no names.
    Raises ValueError for more than 20 kB of it.
    """
    hooks = _subscribed(project_id, kind)
    if hooks:
        deliveries_create(project_id=project_id, kind=kind, data=data, webhooks=hooks)


def is_wanted(project_id: int, kind: str) -> bool:
    """Whether any webhook asks for it: what an event needs to read may be left unread where none does."""
    return bool(_subscribed(project_id, kind))


def deliveries_create(
    *, project_id: int, kind: str, data: Mapping[str, Any], webhooks: list[int]
) -> list[Delivery]:
    """One event and its deliveries to these webhooks; workers hear of them once that has committed."""
    content = {"type": kind, "timestamp": timezone.now(), "data": dict(data)}
    payload = orjson.dumps(content, option=orjson.OPT_UTC_Z)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"the event {kind} has {len(payload)} bytes, more than {MAX_PAYLOAD_BYTES}")
    event = Event.objects.create(project_id=project_id, kind=kind, payload=payload.decode())
    made = Delivery.objects.bulk_create(
        [Delivery(webhook_id=number, event=event, next_at=Now()) for number in webhooks]
    )
    transaction.on_commit(wake_up, robust=True)
    return made


def subscriptions_forget(project_id: int) -> None:
    """This process reads them anew; others do so within SUBSCRIBED_S."""
    page_cache.delete(_cache_key(project_id))


def wake_up() -> None:
    """Send a worker to deliver, at most once a second: what it misses, beat brings within five."""
    if not page_cache.add("webhooks:woken", 1, WAKE_EVERY_S):
        return
    try:
        app.send_task(DELIVER_TASK, retry=False, ignore_result=True, expires=60)
    except Exception as error:  # a broker client raises what its driver raises; the rows hold the truth
        logger.warning("workers could not be told of a webhook's event: %s", error)


def _subscribed(project_id: int, kind: str) -> list[int]:
    key = _cache_key(project_id)
    known: list[tuple[int, list[str]]] | None = page_cache.get(key)
    if known is None:
        rows = Webhook.objects.filter(project_id=project_id, is_enabled=True).order_by("pk")
        known = list(rows.values_list("pk", "events"))
        page_cache.set(key, known, SUBSCRIBED_S)
    return [number for number, events in known if kind in events]


def _cache_key(project_id: int) -> str:
    return f"webhooks:{project_id}"
