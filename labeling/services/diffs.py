"""Differences of two snapshots: a row, a job that compares the files, and a file of all changes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_noop

from labeling.models import Project, Snapshot, SnapshotDiff, SnapshotState
from labeling.services.snapshots import PROGRESS_EVERY, Guard, Progress
from labeling.snapshots.diff import COLUMNS, EXCERPT, KINDS, SCHEMA, SHOWN, Differences, settings_changed
from labeling.snapshots.files import RowsFile, SnapshotNotReadyError
from labeling.snapshots.reading import read_snapshot
from webapp.audit.services import record
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.messages import message
from webapp.jobs.services import job_enqueue
from webapp.users.models import User


def changes_path(diff: SnapshotDiff) -> Path:
    """Where the Parquet file of all changes lies."""
    return Path(settings.DATA_DIR) / "exports" / str(diff.project_id) / "changes" / f"{diff.pk}.parquet"


@transaction.atomic
def diff_start(
    *, older: Snapshot, newer: Snapshot, created_by: User | None = None, enqueue: bool = True
) -> SnapshotDiff:
    """The difference of these snapshots and the job that finds it. What is there, or on its way, is returned as it is;
    one that failed is tried again. Raises SnapshotNotReadyError.
    """
    for snapshot in (older, newer):
        if snapshot.state != SnapshotState.READY:
            raise SnapshotNotReadyError(
                message(gettext_noop("Snapshot %(snapshot)s is not ready."), snapshot=snapshot)
            )
    Project.objects.select_for_update(no_key=True).get(pk=newer.project_id)
    diff, is_new = SnapshotDiff.objects.get_or_create(
        project_id=newer.project_id, older=older, newer=newer, defaults={"created_by": created_by}
    )
    if not is_new and diff.state != SnapshotState.FAILED:
        return diff
    diff.state = SnapshotState.MAKING
    if enqueue:
        job = job_enqueue(
            kind="snapshot.diff",
            params={"diff_id": diff.pk},
            project_id=newer.project_id,
            title=message(
                gettext_noop("Snapshots %(older)s and %(newer)s compared: %(project)s"),
                older=older,
                newer=newer,
                project=newer.project.name,
            ),
            created_by=created_by,
        )
        diff.job_uid = job.uid
    diff.save(update_fields=["state", "job_uid"])
    record(
        action="snapshot.diff",
        subject=f"{older} → {newer}",
        actor=created_by,
        project_id=newer.project_id,
    )
    return diff


def diff_build(
    diff: SnapshotDiff, *, guard: Guard = transaction.atomic, progress: Progress | None = None
) -> SnapshotDiff:
    """Compare the files, write all changes and keep what they come to. One that is ready is returned as it is.

    In constant memory, each file read once. `guard` and `progress` are as in `snapshot_build`. Raises SnapshotError.
    """
    if diff.state == SnapshotState.READY:
        return diff
    older, newer = diff.older, diff.newer
    total = older.row_count + newer.row_count
    found = Differences(read_snapshot(older, columns=COLUMNS), read_snapshot(newer, columns=COLUMNS))
    first: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    with RowsFile(changes_path(diff), SCHEMA) as file:
        with closing(iter(found)) as changes:
            told = 0
            for change in changes:
                row = change.as_dict()
                file.put(row, size=len(row["prompt"]))
                for kind in change.kinds:
                    if len(first[kind]) < SHOWN:
                        first[kind].append(row | {"prompt": row["prompt"][:EXCERPT]})
                done = found.rows["older"] + found.rows["newer"]
                if progress is not None and done - told >= PROGRESS_EVERY:
                    progress(done, total)
                    told = done
        digest = file.finish()
        with guard(), transaction.atomic():
            locked = SnapshotDiff.objects.select_for_update().filter(pk=diff.pk).first()
            if locked is None:
                raise PermanentJobError(message(gettext_noop("The project was deleted meanwhile.")))
            file.publish()
            locked.state = SnapshotState.READY
            locked.summary = {
                "rows": found.rows,
                "changed": found.changed,
                "counts": found.counts,
                "outcomes": found.outcomes,
                "settings": settings_changed(older, newer),
                "first": first,
                "sha256": digest,
            }
            locked.save(update_fields=["state", "summary"])
    return locked


def diff_fail(diff_id: int) -> None:
    """Mark a difference that is still being made as failed. A ready one stays ready."""
    SnapshotDiff.objects.filter(pk=diff_id, state=SnapshotState.MAKING).update(state=SnapshotState.FAILED)


def changes_open(older: Snapshot, newer: Snapshot) -> IO[bytes] | None:
    """The file of all changes, open; None where they have not been found, or the file is gone."""
    diff = SnapshotDiff.objects.filter(older=older, newer=newer, state=SnapshotState.READY).first()
    try:
        return changes_path(diff).open("rb") if diff is not None else None
    except FileNotFoundError:
        return None
