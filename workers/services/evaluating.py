"""Evaluating a model on the held-out pairs of a snapshot, and keeping the scores behind the figures."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from labeling.models import Project, Snapshot
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.messages import message
from webapp.jobs.models import Job
from webapp.jobs.services import job_enqueue
from webapp.users.models import User
from workers.models import HELD_OUT, Evaluation, EvaluationScores, ModelComparison, RewardModel
from workers.reward.compare import PairScores
from workers.reward.evaluate import Evaluation as Report
from workers.reward.evaluate import evaluate
from workers.reward.measure import write_report
from workers.reward.scorers import Scorer
from workers.services.callbacks import JobCallbacks
from workers.services.folders import model_open
from workers.services.held_out import Sides, held_out, lineage, score_pairs, seen_groups
from workers.words import step_words

if TYPE_CHECKING:
    from webapp.jobs.context import JobContext


@dataclass(frozen=True)
class Measured:
    """Scores of held-out pairs, and which pairs they are."""

    scores: PairScores
    sides: Sides


def measure(context: JobContext, scorer: Scorer, snapshot: Snapshot, *, without: Collection[str]) -> Measured:
    """Score the held-out pairs of a snapshot, but for the groups `without`."""
    sides = Sides()
    pairs = held_out(snapshot, without=without, sides=sides)
    return Measured(score_pairs(scorer, pairs, callbacks=JobCallbacks(context)), sides)


def report_of(measured: Measured, snapshot: Snapshot, *, without: Collection[str]) -> Report:
    """The figures of measured pairs, which are read again for their labels. Pairs without a verdict are counted and
    in no other figure."""
    has_verdict = measured.scores.has_verdict
    scores = measured.scores.only(has_verdict)
    pairs = compress(held_out(snapshot, without=without), has_verdict)
    report = evaluate(scores.chosen, scores.rejected, pairs, temperature=scores.temperature)
    return replace(report, no_verdict=int((~has_verdict).sum()))


def store_evaluation(
    model: RewardModel, snapshot: Snapshot, report: Report, measured: Measured
) -> Evaluation:
    """One row for each model, snapshot and split, and the figures beside the model's folder for whoever reads files;
    a repeat replaces both. Call it under the job's guard: without the claim nothing is written, and without the file
    no row."""
    row, _created = Evaluation.objects.update_or_create(
        reward_model=model,
        snapshot=snapshot,
        split=HELD_OUT,
        defaults={
            "accuracy": report.accuracy.value,
            "low": report.accuracy.low,
            "high": report.accuracy.high,
            "n": report.n,
            "baselines": {"random": report.random.as_dict(), "longest": report.longest.as_dict()},
            "report": report.as_dict(),
            "created_at": timezone.now(),
        },
    )
    of_it = ModelComparison.objects.filter(Q(model_a=model) | Q(model_b=model), snapshot=snapshot)
    of_it.update(report={})  # they rest on scores that are no more
    EvaluationScores.objects.update_or_create(evaluation=row, defaults=_columns(measured))
    write_report(model.folder, f"snapshot {snapshot.number}, {HELD_OUT}", report.as_dict())
    return row


def store_if_fuller(model: RewardModel, snapshot: Snapshot, report: Report, measured: Measured) -> None:
    """`store_evaluation`, unless the model was evaluated there on as many pairs: a gate may leave out more."""
    kept = Evaluation.objects.filter(reward_model=model, snapshot=snapshot, split=HELD_OUT).first()
    if kept is None or kept.n < report.n:
        store_evaluation(model, snapshot, report, measured)


def _columns(measured: Measured) -> dict[str, bytes]:
    a_first = np.array(measured.sides.a_first, dtype=np.bool_)
    chosen, rejected = np.asarray(measured.scores.chosen), np.asarray(measured.scores.rejected)
    return {
        "comparisons": np.array(measured.sides.comparisons, dtype="<i8").tobytes(),
        "score_a": np.where(a_first, chosen, rejected).astype("<f4").tobytes(),
        "score_b": np.where(a_first, rejected, chosen).astype("<f4").tobytes(),
        "a_first": a_first.astype(np.uint8).tobytes(),
    }


def evaluation_start(*, model: RewardModel, snapshot: Snapshot, created_by: User | None = None) -> Job:
    """Enqueue the evaluation of a model on a snapshot; a job that does this already is returned instead."""
    params = {"model_id": model.pk, "snapshot_id": snapshot.pk}
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=model.project_id)
        under_way = evaluation_job(model, snapshot)
        return under_way or job_enqueue(
            kind="reward.evaluate",
            params=params,
            project_id=model.project_id,
            title=message(
                gettext_noop("Evaluate %(model)s on %(snapshot)s"), model=str(model), snapshot=str(snapshot)
            ),
            created_by=created_by,
        )


def evaluation_newest_job(model: RewardModel, snapshot: Snapshot) -> Job | None:
    """The newest job that evaluates this model on this snapshot, whatever its state."""
    params = {"model_id": model.pk, "snapshot_id": snapshot.pk}
    jobs = Job.objects.filter(project_id=model.project_id, kind="reward.evaluate", params=params)
    return jobs.order_by("-pk").first()


def evaluation_job(model: RewardModel, snapshot: Snapshot) -> Job | None:
    """The job that does so now, if there is one."""
    job = evaluation_newest_job(model, snapshot)
    return job if job is not None and job.is_active else None


def run_evaluation(context: JobContext) -> dict[str, Any]:
    """The job: figures and scores of one model on one snapshot."""
    model = RewardModel.objects.select_related("snapshot").filter(pk=context.params["model_id"]).first()
    snapshot = Snapshot.objects.filter(pk=context.params["snapshot_id"]).first()
    if model is None or snapshot is None:
        raise PermanentJobError(message(gettext_noop("The model or the snapshot of this job was deleted.")))
    evaluation = evaluate_on(context, model, snapshot)
    return {"reward_model": model.number, "snapshot": snapshot.number, "pairs": evaluation.n}


def evaluate_on(context: JobContext, model: RewardModel, snapshot: Snapshot) -> Evaluation:
    """Evaluate on pairs whose groups neither the model nor a model that it went on from was trained on.

    Raises SnapshotError where that cannot be told, since a training snapshot is gone, and RewardErrors.
    """
    context.progress(0, 1, step_words("evaluate"))
    seen = seen_groups(snapshot, lineage(model))
    measured = measure(context, model_open(model), snapshot, without=seen)
    report = report_of(measured, snapshot, without=seen)
    with context.guarded():
        return store_evaluation(model, snapshot, report, measured)
