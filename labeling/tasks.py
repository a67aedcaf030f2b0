"""Celery tasks and job handlers of this storey."""

from __future__ import annotations

from celery import shared_task

from labeling.services.allocation import release_expired


@shared_task(name="labeling.release_leases", ignore_result=True)
def release_leases() -> int:
    """Give back what nobody came back to. Sent by beat; running it twice does no harm."""
    return release_expired()
