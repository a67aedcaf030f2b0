"""Reading training runs: stages, live figures, throughput."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext, gettext_noop

from labeling.models import Project
from webapp.jobs.models import Job, JobState
from workers.models import RunStage, RunState, TrainingRun

METRICS_SHOWN = 400
# What the library says of every encoder; of a decoder it says what in it is in the way.
PADDED_BECAUSE = (
    gettext_noop("an encoder reads both ways, so answers cannot share a prompt"),
    gettext_noop("pool mean reads more than the last token"),
    gettext_noop("pool first reads more than the last token"),
    gettext_noop("pool pooler reads more than the last token"),
)
_AFTER_JOB = {JobState.FAILED: RunState.FAILED, JobState.CANCELLED: RunState.CANCELLED}


@dataclass(frozen=True)
class StageLine:
    """One stage as a list shows it. `state` is done, now, waiting or stopped."""

    key: str
    name: str
    state: str
    seconds: float | None


def runs(project: Project) -> QuerySet[TrainingRun]:
    return (
        TrainingRun.objects.filter(project=project)
        .select_related("snapshot", "reward_model", "created_by")
        .order_by("-pk")
    )


def job_of(run: TrainingRun) -> Job | None:
    return Job.objects.filter(uid=run.job_uid).first() if run.job_uid else None


def shown_state(run: TrainingRun, job: Job | None) -> RunState:
    """The run's state; an active run whose job has ended is shown as its job, until the row follows."""
    if run.state == RunState.ACTIVE and job is not None and job.state in _AFTER_JOB:
        return _AFTER_JOB[JobState(job.state)]
    return RunState(run.state)


def stage_lines(run: TrainingRun, state: RunState) -> list[StageLine]:
    stages: list[RunStage] = [stage for stage in RunStage if stage != RunStage.DONE]
    here = stages.index(RunStage(run.stage)) if run.stage != RunStage.DONE else len(stages)
    lines = []
    for index, stage in enumerate(stages):
        if index < here:
            place = "done"
        elif index > here:
            place = "waiting"
        else:
            place = "now" if state == RunState.ACTIVE else "stopped"
        lines.append(StageLine(stage.value, str(stage.label), place, run.timings.get(stage.value)))
    return lines


def run_metrics(run: TrainingRun, *, limit: int = METRICS_SHOWN) -> list[tuple[int, dict[str, Any]]]:
    """(step, figures), thinned evenly to about `limit`; rows with validation figures are always kept."""
    rows = list(run.metrics.order_by("step").values_list("step", "values"))
    every = max(1, -(-len(rows) // limit))
    last = len(rows) - 1
    return [
        (step, values)
        for i, (step, values) in enumerate(rows)
        if i % every == 0 or i == last or any(key.startswith("validation") for key in values)
    ]


def layout_words(run: TrainingRun) -> str:
    """How the training read its rows; empty before it has said so and where the model reads no tokens."""
    if reason := run.counts.get("padded_because"):
        return gettext("Rows were padded: %(reason)s.") % {"reason": gettext(reason)}
    is_packed = run.counts.get("layout") == "tree"
    return gettext("Each prompt was read once, and nothing was padded.") if is_packed else ""


def pairs_per_second(run: TrainingRun) -> float | None:
    """Training pairs over the seconds of the training stage, all epochs counted as one pass."""
    seconds, pairs = run.timings.get(RunStage.TRAIN.value), run.counts.get("train")
    return pairs / seconds if seconds and pairs else None
