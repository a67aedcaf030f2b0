"""Making snapshots: the row first, then its file in a job, then both joined in one guarded write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext_noop

from labeling.models import Project, Snapshot, SnapshotState
from labeling.snapshots.config import SPLITS, read_config
from labeling.snapshots.files import SnapshotWriter, snapshot_path
from labeling.snapshots.rows import ContentHash
from labeling.snapshots.source import SnapshotSource, consistent_view
from webapp.audit.services import record
from webapp.jobs.messages import message
from webapp.jobs.services import job_enqueue
from webapp.users.models import User
from webapp.webhooks.events import event_emit

Guard = Callable[[], AbstractContextManager[Any]]
Progress = Callable[[int, int], None]
PROGRESS_EVERY = 500


@transaction.atomic
def snapshot_create(
    *,
    project: Project,
    config: dict[str, Any] | None = None,
    created_by: User | None = None,
    enqueue: bool = True,
) -> Snapshot:
    """A new snapshot of the project, numbered next, and the job that makes its file.

    With `enqueue=False` no job is made: the caller calls `snapshot_build` itself. Raises SnapshotConfigError.
    """
    checked = read_config(config or {})
    locked = Project.objects.select_for_update().get(pk=project.pk)
    newest = locked.snapshots.aggregate(newest=Max("number"))["newest"] or 0
    snapshot = Snapshot.objects.create(
        project=locked, number=newest + 1, config=checked.to_json(), created_by=created_by
    )
    if enqueue:
        job = job_enqueue(
            kind="snapshot.make",
            params={"snapshot_id": snapshot.pk},
            project_id=project.pk,
            title=message(
                gettext_noop("Snapshot %(number)s: %(project)s"), number=snapshot, project=project.name
            ),
            created_by=created_by,
        )
        snapshot.job_uid = job.uid
        snapshot.save(update_fields=["job_uid"])
    record(
        action="snapshot.create",
        subject=str(snapshot),
        actor=created_by,
        project_id=project.pk,
        config=snapshot.config,
    )
    return snapshot


def snapshot_build(
    snapshot: Snapshot, *, guard: Guard = transaction.atomic, progress: Progress | None = None
) -> Snapshot:
    """Write the snapshot's file and mark it ready; a snapshot that is ready is returned as it is.

    `guard` opens the transaction that may be refused to a worker that lost its job; file name and row change
    inside it, so that the file of a refused worker never takes the place of another's. `progress(done,
    total)` is called every 500 rows and may raise to stop. Nothing is left behind by an error.
    """
    snapshot = Snapshot.objects.select_related("project").get(pk=snapshot.pk)
    if snapshot.state == SnapshotState.READY:
        return snapshot
    content, counts = ContentHash(), Counter[str]()
    with SnapshotWriter(snapshot_path(snapshot)) as writer:
        with consistent_view() as using:
            source = SnapshotSource(snapshot.project, read_config(snapshot.config), using)
            total = source.comparisons().count()
            with closing(source.rows(source.splitter())) as rows:
                for done, row in enumerate(rows, start=1):
                    content.add(row)
                    writer.add(row)
                    counts[row.split] += 1
                    if progress is not None and done % PROGRESS_EVERY == 0:
                        progress(done, total)
        file_hash = writer.finish()
        with guard(), transaction.atomic():
            locked = Snapshot.objects.select_for_update().get(pk=snapshot.pk)
            if locked.state == SnapshotState.READY:
                return locked
            writer.publish()
            locked.state = SnapshotState.READY
            locked.row_count = counts.total()
            locked.split_counts = {split: counts[split] for split in SPLITS}
            locked.content_hash = content.hexdigest()
            locked.file_hash = file_hash
            locked.last_preference_id = source.up_to
            locked.preference_count = source.preference_count
            locked.last_adjudication_id = source.last_adjudication_id
            locked.save()
            _tell(locked)
    return locked


def snapshot_fail(snapshot_id: int) -> None:
    """Mark a snapshot that is still being made as failed. A ready one stays ready."""
    making = Snapshot.objects.filter(pk=snapshot_id, state=SnapshotState.MAKING)
    with transaction.atomic():
        if making.update(state=SnapshotState.FAILED):
            snapshot = Snapshot.objects.get(pk=snapshot_id)
            data = {"snapshot": snapshot.number}
            event_emit(project_id=snapshot.project_id, kind="snapshot.failed", data=data)


def _tell(snapshot: Snapshot) -> None:
    data = {
        "snapshot": snapshot.number,
        "rows": snapshot.row_count,
        "splits": snapshot.split_counts,
        "content_hash": snapshot.content_hash,
    }
    event_emit(project_id=snapshot.project_id, kind="snapshot.ready", data=data)
