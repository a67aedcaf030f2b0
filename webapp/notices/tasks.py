from __future__ import annotations

from celery import shared_task

from webapp.notices.services import notices_sweep


@shared_task(name="notices.sweep", ignore_result=True)
def sweep() -> int:
    """Remove old notices. Sent by beat; running it twice does no harm."""
    return notices_sweep()
