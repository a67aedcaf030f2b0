"""Removing the checkpoint folders of jobs that ended some days ago."""

from __future__ import annotations

import logging
import shutil
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from webapp.jobs.models import ACTIVE_STATES, Job

logger = logging.getLogger(__name__)
KEEP = timedelta(days=3)


def remove_old_folders() -> int:
    """Remove folders whose job is gone, or ended more than three days ago. Returns how many."""
    root = settings.DATA_DIR / "jobs"
    if not root.is_dir():
        return 0
    folders = {entry.name: entry for entry in root.iterdir() if entry.is_dir() and _is_uid(entry.name)}
    wanted = Job.objects.filter(uid__in=list(folders)).filter(
        Q(state__in=ACTIVE_STATES) | Q(finished_at__gte=Now() - KEEP)
    )
    unwanted = set(folders) - {str(uid) for uid in wanted.values_list("uid", flat=True)}
    for name in unwanted:
        shutil.rmtree(folders[name], ignore_errors=True)
        logger.info("removed the folder of job %s", name)
    return len(unwanted)


def _is_uid(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
