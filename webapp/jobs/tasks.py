"""Celery's side of the jobs: a message carries a job's id, nothing else."""

from __future__ import annotations

from dataclasses import asdict

from celery import shared_task

from webapp.jobs import beat_hooks, worker_hooks
from webapp.jobs.publishing import RUN_TASK
from webapp.jobs.reaper import reap
from webapp.jobs.runner import run_job

worker_hooks.connect()
beat_hooks.connect()


@shared_task(name=RUN_TASK, ignore_result=True)
def jobs_run(*, job_id: int) -> None:
    run_job(job_id)


@shared_task(name="jobs.reap", ignore_result=True)
def jobs_reap() -> dict[str, int]:
    return asdict(reap())
