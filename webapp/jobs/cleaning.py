"""Removing the checkpoint folders of jobs that ended some days ago."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from webapp.jobs.models import ACTIVE_STATES, Job

logger = logging.getLogger(__name__)
KEEP = timedelta(days=3)


def remove_old_folders(*, deleted: Collection[str] = ()) -> int:
    """Remove folders whose job ended more than three days ago, or has no row. Returns how many are gone.

    A job without a row may be at work in another database on the same data folder: its folder goes when nothing
    in it was written for three days, or at once where its uid is among those just `deleted` here.
    """
    root = settings.DATA_DIR / "jobs"
    if not root.is_dir():
        return 0
    folders = {entry.name: entry for entry in root.iterdir() if entry.is_dir() and _is_uid(entry.name)}
    rows = Job.objects.filter(uid__in=list(folders)).order_by()
    wanted = rows.filter(Q(state__in=ACTIVE_STATES) | Q(finished_at__gte=Now() - KEEP))
    kept = {str(uid) for uid in wanted.values_list("uid", flat=True)}
    known = {str(uid) for uid in rows.values_list("uid", flat=True)} | set(deleted)
    unwanted = [
        folder for name, folder in folders.items() if name not in kept and (name in known or _is_old(folder))
    ]
    return sum(folder_remove(folder) for folder in unwanted)


def folder_remove(folder: Path) -> bool:
    """Remove a folder with what is in it. Returns whether it is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        logger.warning("%s/%s could not be removed", folder.parent.name, folder.name)
        return False
    logger.info("removed %s/%s", folder.parent.name, folder.name)
    return True


def _is_old(folder: Path) -> bool:
    """Whether nothing in it was written for three days; files that vanish meanwhile do not count."""
    newest = 0.0
    for parent, _folders, files in os.walk(folder):
        for name in (".", *files):
            with suppress(FileNotFoundError):
                newest = max(newest, (Path(parent) / name).lstat().st_mtime)
    return time.time() - newest > KEEP.total_seconds()


def _is_uid(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
