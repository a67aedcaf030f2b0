"""Celery tasks and job handlers of this storey."""

from __future__ import annotations

from celery import shared_task

from labeling.services.allocation import release_expired
from labeling.services.batches import batches_tick
from labeling.services.deletion import leftovers_remove


@shared_task(name="labeling.release_leases", ignore_result=True)
def release_leases() -> int:
    """Give back what nobody came back to. Sent by beat; running it twice does no harm."""
    return release_expired()


@shared_task(name="labeling.remove_leftovers", ignore_result=True)
def remove_leftovers() -> int:
    """Collect what deleted projects have left. Sent by beat; running it twice does no harm."""
    return leftovers_remove()


@shared_task(name="labeling.batches_tick", ignore_result=True)
def tell_of_deadlines() -> int:
    """Notices of batches that are due or over. Sent by beat; running it twice does no harm."""
    return batches_tick()
