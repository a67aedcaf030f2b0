"""Handlers of this app's jobs, and the scheduled tasks. Heavy modules are imported when a handler begins."""

from __future__ import annotations

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
    from workers.reward.errors import RewardError, Stopped
    from workers.services.stages import score_with_champion
    from workers.words import error_words

    project = Project.objects.filter(pk=context.params["project_id"]).first()
    if project is None:
        raise PermanentJobError(message(gettext_noop("The project of this job was deleted.")))
    try:
        return score_with_champion(context, project)
    except Stopped:
        context.stop()
    except RewardError as error:
        if not error.permanent:
            raise
        raise PermanentJobError(error_words(error)) from error


@shared_task(name="workers.retrain_tick", ignore_result=True)
def retrain_tick() -> int:
    """Every minute: start the runs that enough new labels call for, and score what an import brought.

    Safe to be sent twice. Returns the number of runs started.
    """
    from workers.services.policies import policies_tick
    from workers.services.scoring import scoring_tick

    started = policies_tick()
    scoring_tick()
    return started


@shared_task(name="workers.retrain_policy", ignore_result=True)
def retrain_policy(project_id: int) -> bool:
    """When a policy's cron line says so: start a run. Safe to be sent twice within the minute."""
    from workers.services.policies import policy_cron

    return policy_cron(project_id)
