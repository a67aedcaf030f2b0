"""The jobs that make a snapshot's file and the difference of two, and what happens to these when a job ends badly."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop

from labeling.models import Snapshot, SnapshotDiff, SnapshotState
from labeling.services.diffs import diff_build, diff_fail
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


def make_diff(context: JobContext) -> dict[str, Any]:
    """Handler of `snapshot.diff`; params: {"diff_id"}. A second run starts over or finds it done."""
    with context.guarded():
        waiting = SnapshotDiff.objects.filter(pk=context.params["diff_id"]).exclude(state=SnapshotState.READY)
        waiting.update(state=SnapshotState.MAKING, job_uid=context.job.uid)
    wanted = SnapshotDiff.objects.filter(pk=context.params["diff_id"])
    diff = wanted.select_related("older__project", "newer__project").first()
    if diff is None:
        raise PermanentJobError(message(gettext_noop("The project was deleted meanwhile.")))
    diff = diff_build(diff, guard=context.guarded, progress=context.progress)
    context.log(f"{diff.summary['changed']} comparisons differ")
    return {"changed": diff.summary["changed"], **diff.summary["counts"]}


def diff_ended(job: Job) -> None:
    """The job failed or was cancelled: so has the difference that it was to find."""
    diff_fail(job.params["diff_id"])
