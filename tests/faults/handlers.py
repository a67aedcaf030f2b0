"""Handlers that are killed, stopped and crashed by the fault tests, in real workers."""

from __future__ import annotations

import faulthandler
import itertools
import os
import time
from pathlib import Path

from webapp.jobs.context import JobContext
from webapp.users.models import User

STEP_S = 0.02


def note(context: JobContext, word: str) -> None:
    """A line in a file outside of the database, which no rollback undoes: `word process fence`."""
    line = f"{word} {os.getpid()} {context.job.fence}\n"
    with Path(context.params["notes"]).open("a") as file:
        file.write(line)


def steps(context: JobContext) -> dict[str, int]:
    """Takes params["steps"] steps with a checkpoint after each; the result is a row made once, at the end.

    At params["wait_at"] it goes on only once the file params["gate"] exists, so that a test can choose the
    moment.
    """
    note(context, "start")
    place = context.checkpoint_dir / "step"
    done = int(place.read_text()) if place.exists() else 0
    total = int(context.params["steps"])
    while done < total:
        wait_for_gate(context, done)
        if context.should_stop():
            note(context, "stopped")
            context.stop()
        time.sleep(STEP_S)
        done += 1
        save(place, done)
        context.checkpointed()
        context.progress(done, total)
    with context.guarded():
        User.objects.create(username=f"result-{context.job.pk}")
    return {"steps": done}


def wait_for_gate(context: JobContext, done: int) -> None:
    if done != context.params.get("wait_at"):
        return
    note(context, "waiting")
    while not Path(context.params["gate"]).exists() and not context.should_stop():
        time.sleep(STEP_S)


def save(place: Path, done: int) -> None:
    temporary = place.with_suffix(".new")
    temporary.write_text(str(done))
    temporary.replace(place)


def crash(context: JobContext) -> None:
    note(context, "start")
    faulthandler._sigsegv()


def stale(context: JobContext) -> None:
    """Says that it runs, and writes once the gate opens, without ever asking whether it still may."""
    note(context, "start")
    if context.job.fence == 1:
        note(context, "waiting")
        for _ in itertools.count():
            if Path(context.params["gate"]).exists():
                break
            time.sleep(STEP_S)
        note(context, "awake")
    try:
        with context.guarded():
            User.objects.create(username=f"written-by-{context.job.fence}")
    except Exception as error:
        note(context, f"refused:{type(error).__name__}")
        raise


def quick(context: JobContext) -> None:
    note(context, "start")
