"""Handlers of this app's jobs, and the scheduled tasks. Heavy modules are imported when a handler begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery import shared_task
from django.utils.translation import gettext_noop

if TYPE_CHECKING:
    from webapp.jobs.context import JobContext


def run_training(context: JobContext) -> dict[str, Any]:
    """Job `reward.train` {"run_id"}: snapshot, train, evaluate, gate, score, re-order."""
    from workers.services.pipeline import run_pipeline

    return run_pipeline(context)


def score_responses(context: JobContext) -> dict[str, Any]:
    """Job `reward.score` {"project_id"}: score what the champion has not scored yet, and re-order the
    queue."""
    from labeling.models import Project
    from webapp.jobs.errors import PermanentJobError
    from webapp.jobs.messages import message
    from workers.services.stages import score_with_champion

    project = Project.objects.filter(pk=context.params["project_id"]).first()
    if project is None:
        raise PermanentJobError(message(gettext_noop("The project of this job was deleted.")))
    return in_words(context, lambda told: dict(score_with_champion(told, project)))


def evaluate_model(context: JobContext) -> dict[str, Any]:
    """Job `reward.evaluate` {"model_id", "snapshot_id"}: figures of a model on a snapshot's held-out pairs."""
    from workers.services.evaluating import run_evaluation

    return in_words(context, run_evaluation)


def compare_models(context: JobContext) -> dict[str, Any]:
    """Job `reward.compare` {"comparison_id"}: two models on the same held-out pairs."""
    from workers.services.comparing import run_comparison

    return in_words(context, run_comparison)


def preview_text(context: JobContext) -> dict[str, Any]:
    """Job `reward.preview`: the text and the tokens that a model reads of one response."""
    from workers.services.previews import run_preview

    return in_words(context, run_preview)


def in_words(context: JobContext, work: Callable[[JobContext], dict[str, Any]]) -> dict[str, Any]:
    """Do the work; what the library refuses for good ends the job with a sentence for people."""
    from webapp.jobs.errors import PermanentJobError
    from workers.reward.errors import RewardError, Stopped
    from workers.words import error_words

    try:
        return work(context)
    except Stopped:
        context.stop()
    except RewardError as error:
        if not error.permanent:
            raise
        raise PermanentJobError(error_words(error)) from error


@shared_task(name="workers.retrain_tick", ignore_result=True)
def retrain_tick() -> int:
    """Every minute: start the runs that enough new labels call for, score what an import brought, and tell of models
    that have become stale.

    Safe to be sent twice. Returns the number of runs started.
    """
    from workers.services.policies import policies_tick
    from workers.services.scoring import scoring_tick
    from workers.services.staleness import stale_tick

    started = policies_tick()
    scoring_tick()
    stale_tick()
    return started


@shared_task(name="workers.retrain_policy", ignore_result=True)
def retrain_policy(project_id: int) -> bool:
    """When a policy's cron line says so: start a run. Safe to be sent twice within the minute."""
    from workers.services.policies import policy_cron

    return policy_cron(project_id)
