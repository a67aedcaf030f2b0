"""A training run from labels to a scored queue: stages that can each be repeated after a kill.

Every stage looks at what is already there before it works, writes under `context.guarded()`, and the run's
`stage` moves in the same kind of guarded write. So a worker killed at any statement is followed by one that
goes on from the same stage, to one model, one decision and one score for each response.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext_noop

from webapp.jobs.errors import JobInterrupted, PermanentJobError
from webapp.jobs.messages import Text, cut, message, said_by
from workers.errors import TrainingBusy
from workers.models import RunStage, RunState, TrainingRun
from workers.reward.errors import Stopped
from workers.services.stages import evaluate_model, gate_model, make_snapshot, score_and_reorder, train_model
from workers.words import error_words

if TYPE_CHECKING:
    from webapp.jobs.context import JobContext

Stage = Callable[["JobContext", TrainingRun], None]
STAGES: dict[str, tuple[Stage, RunStage]] = {
    RunStage.SNAPSHOT: (make_snapshot, RunStage.TRAIN),
    RunStage.TRAIN: (train_model, RunStage.EVALUATE),
    RunStage.EVALUATE: (evaluate_model, RunStage.GATE),
    RunStage.GATE: (gate_model, RunStage.SCORE),
    RunStage.SCORE: (score_and_reorder, RunStage.DONE),
}


def run_pipeline(context: JobContext) -> dict[str, Any]:
    """Carry the run named in the job's parameters to its end. Returns what the job's page shows of it."""
    run = _claim_run(context)
    try:
        while run.stage != RunStage.DONE:
            _do_stage(context, run)
    except Stopped:
        context.stop()
    except JobInterrupted:
        raise
    except Exception as error:
        if not getattr(error, "permanent", False):
            raise
        words = error_words(error)
        _fail(context, run, words)
        raise PermanentJobError(words) from error
    return summary(run)


def _claim_run(context: JobContext) -> TrainingRun:
    """The run, active and tied to this job. A retry revives a run that had failed, if the place is free."""
    run_id = context.params["run_id"]
    try:
        with context.guarded():
            run = TrainingRun.objects.select_for_update().filter(pk=run_id).first()
            if run is None:
                raise PermanentJobError(message(gettext_noop("The training run was deleted.")))
            if run.stage != RunStage.DONE and (run.state, run.job_uid) != (RunState.ACTIVE, context.job.uid):
                if run.state == RunState.ACTIVE:
                    raise PermanentJobError(
                        message(gettext_noop("Another job already works on this training run."))
                    )
                run.state, run.error, run.finished_at = RunState.ACTIVE, "", None
                run.job_uid = context.job.uid
                run.save(update_fields=["state", "error", "finished_at", "job_uid"])
    except IntegrityError:
        raise PermanentJobError(said_by(TrainingBusy())) from None
    return TrainingRun.objects.select_related("project", "snapshot", "reward_model").get(pk=run_id)


def _do_stage(context: JobContext, run: TrainingRun) -> None:
    stage = run.stage
    work, following = STAGES[stage]
    context.log(f"stage {stage}")
    started = time.monotonic()
    work(context, run)
    # Seconds of the attempt that finished; what a killed attempt spent is not known.
    timings = {**run.timings, stage: round(time.monotonic() - started, 3)}
    values: dict[str, Any] = {"stage": following, "timings": timings, "counts": run.counts}
    if following == RunStage.DONE:
        values |= {"state": RunState.DONE, "finished_at": timezone.now(), "error": ""}
    with context.guarded():
        TrainingRun.objects.filter(pk=run.pk, stage=stage).update(**values)
    run.refresh_from_db()


def _fail(context: JobContext, run: TrainingRun, words: Text) -> None:
    with context.guarded():
        TrainingRun.objects.filter(pk=run.pk, state=RunState.ACTIVE).update(
            state=RunState.FAILED, error=cut(words, 4000), finished_at=timezone.now()
        )


def summary(run: TrainingRun) -> dict[str, Any]:
    """Plain JSON: the run's outcome in a line."""
    model = run.reward_model
    decision = run.gate_decisions.first()
    return {
        "run_id": run.pk,
        "snapshot": run.snapshot.number if run.snapshot else None,
        "reward_model": model.number if model else None,
        "promoted": decision.promote if decision else None,
        "timings": run.timings,
        "counts": run.counts,
    }
