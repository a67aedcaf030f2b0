"""Handlers of judging's job kinds: load, call one service, return what the job's page shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from judging.services.runs import run_execute

if TYPE_CHECKING:
    from webapp.jobs.context import JobContext


def run_judge(context: JobContext) -> dict[str, Any]:
    """Job kind `judge.run`."""
    return run_execute(context)


def train_local_judge(context: JobContext) -> dict[str, Any]:
    """Job kind `judge.train_local`. Its service imports torch, which is why it is imported here."""
    from judging.services.training import training_execute

    return training_execute(context)
