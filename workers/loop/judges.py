"""The local judge of a round: a small causal model compiled from the project's own labels, asked about a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from judging.models import EngineKind, JudgeRun, JudgeVersion
from judging.selectors.selection import Selection
from judging.services.runs import run_start
from judging.services.training_start import judge_training_start
from labeling.models import Project, Snapshot
from workers.loop.jobs import run_job

if TYPE_CHECKING:
    from webapp.users.models import User

LOCAL_JUDGE = "Local judge"
# More pairs than this make the small judge slower, not better.
JUDGE_PAIRS = 600


def local_judge(project: Project, snapshot: Snapshot, *, created_by: User | None = None) -> JudgeVersion:
    """The project's newest local judge; trained now, on the snapshot's training split, where there is none."""
    found = _newest(project)
    if found is None:
        run_job(
            judge_training_start(
                project=project,
                name=LOCAL_JUDGE,
                snapshot=snapshot,
                max_pairs=JUDGE_PAIRS,
                created_by=created_by,
            ).uid
        )
        found = _newest(project)
    assert found is not None, "the training job ended well without a version"
    return found


def _newest(project: Project) -> JudgeVersion | None:
    versions = JudgeVersion.objects.filter(judge__project=project, engine=EngineKind.LOCAL)
    return versions.order_by("-pk").first()


def judge_sample(version: JudgeVersion, selection: Selection, *, created_by: User | None = None) -> JudgeRun:
    """Ask a judge about a selection, here and now. Returns the finished run."""
    run = run_start(version=version, selection=selection, created_by=created_by)
    run_job(run.job_uid)
    run.refresh_from_db()
    return run


def local_judge_run(project: Project, snapshot: Snapshot, *, limit: int, seed: int) -> JudgeRun:
    """The local judge on at most `limit` comparisons of the snapshot's test split."""
    version = local_judge(project, snapshot)
    selection = Selection(kind="split", snapshot=snapshot.number, split="test", limit=limit, seed=seed + 1)
    return judge_sample(version, selection)
