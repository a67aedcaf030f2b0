"""Celery's side of the webhooks: beat is the truth, a message only makes it quicker."""

from __future__ import annotations

from celery import shared_task

from webapp.caches import page_cache
from webapp.webhooks.cleaning import log_sweep
from webapp.webhooks.delivery import CALL_S, RUN_S, deliveries_send
from webapp.webhooks.events import DELIVER_TASK

RUNNING = "webhooks:running"


@shared_task(name=DELIVER_TASK, ignore_result=True)
def deliver() -> int:
    """Send what is due. One run at a time in each process: slow receivers must not hold all of its threads."""
    if not page_cache.add(RUNNING, 1, RUN_S + 2 * CALL_S):
        return 0
    try:
        return deliveries_send()
    finally:
        page_cache.delete(RUNNING)


@shared_task(name="webhooks.sweep", ignore_result=True)
def sweep() -> int:
    return log_sweep()
