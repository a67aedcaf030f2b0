"""The job that makes a snapshot's file, and what happens to the snapshot when that job ends badly."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop

from labeling.models import Snapshot, SnapshotState
from labeling.services.snapshots import snapshot_build, snapshot_fail
from webapp.jobs.context import JobContext
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.messages import message
from webapp.jobs.models import Job


def make_snapshot(context: JobContext) -> dict[str, Any]:
    """Handler of `snapshot.make`; params: {"snapshot_id"}. A second run starts over or finds it done."""
    with context.guarded():
        waiting = Snapshot.objects.filter(pk=context.params["snapshot_id"]).exclude(state=SnapshotState.READY)
        waiting.update(state=SnapshotState.MAKING, job_uid=context.job.uid)
    snapshot = Snapshot.objects.filter(pk=context.params["snapshot_id"]).first()
    if snapshot is None:
        raise PermanentJobError(message(gettext_noop("The snapshot was deleted before its file was made.")))
    snapshot = snapshot_build(snapshot, guard=context.guarded, progress=context.progress)
    context.log(f"{snapshot.row_count} rows, content {snapshot.content_hash[:12]}")
    return {
        "snapshot": snapshot.number,
        "rows": snapshot.row_count,
        "splits": snapshot.split_counts,
        "content_hash": snapshot.content_hash,
    }


def snapshot_ended(job: Job) -> None:
    """The job failed or was cancelled: the snapshot it was making has failed."""
    snapshot_fail(job.params["snapshot_id"])
