"""Handlers for the tests of the jobs: each does one thing that a handler may do."""

from __future__ import annotations

from typing import Any

from webapp.jobs.context import JobContext
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel
from webapp.users.models import User

KINDS = {
    "test.count": {"handler": "tests.webapp.jobs.handlers.count", "queue": "default"},
    "test.fail": {
        "handler": "tests.webapp.jobs.handlers.fail",
        "queue": "default",
        "on_ended": f"{__name__}.note_end",
    },
    "test.refuse": {"handler": "tests.webapp.jobs.handlers.refuse", "queue": "default"},
    "test.lose": {"handler": "tests.webapp.jobs.handlers.lose", "queue": "default"},
    "test.cancelled": {"handler": "tests.webapp.jobs.handlers.cancelled_midway", "queue": "default"},
    "test.stopped": {"handler": "tests.webapp.jobs.handlers.stopped", "queue": "default"},
    "test.broken_hook": {
        "handler": f"{__name__}.refuse",
        "queue": "gpu",
        "on_ended": f"{__name__}.broken_hook",
    },
}


def count(context: JobContext) -> dict[str, Any]:
    """Counts to params["to"], one guarded write for each."""
    to = int(context.params.get("to", 3))
    for number in range(1, to + 1):
        with context.guarded():
            User.objects.create(username=f"made-{context.job.pk}-{number}")
        context.metric(last=number)
        context.log(f"made {number}")
        context.progress(number, to, f"number {number}")
    return {"made": to}


def fail(context: JobContext) -> None:
    context.log("about to fail")
    raise ValueError("the disk is made of cheese")


def refuse(context: JobContext) -> None:
    raise PermanentJobError("This file holds no rows.")


def lose(context: JobContext) -> None:
    """Somebody else claims the job while the handler works; its writes must be refused."""
    Job.objects.filter(pk=context.job.pk).update(fence=context.job.fence + 1)
    with context.guarded():
        User.objects.create(username="stale-write")


def cancelled_midway(context: JobContext) -> None:
    job_cancel(context.job)
    context.progress(1, 2)
    raise AssertionError("progress() must not return after a cancel")


def stopped(context: JobContext) -> None:
    """What a handler does that saves a checkpoint when asked to stop."""
    context.interruptions.stopped.set()
    if context.should_stop():
        (context.checkpoint_dir / "state").write_text("half")
        context.checkpointed()
        return


def note_end(job: Job) -> None:
    User.objects.create(username=f"ended-{job.pk}-{job.state}")


def broken_hook(job: Job) -> None:
    User.objects.create(username="undone")
    raise RuntimeError("the hook is broken")
