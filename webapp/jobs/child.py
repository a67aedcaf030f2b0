"""The process of one isolated job: `python -m webapp.jobs.child UID FENCE`, started by a worker."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING
from uuid import UUID

import django

if TYPE_CHECKING:
    from webapp.jobs.context import Interruptions

ORPHANED_EXIT_CODE = 75


def main(uid: UUID, fence: int) -> int:
    """Run the job if the claim still stands. Its row says how it ended; the exit code only that it did."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    django.setup()
    from webapp.jobs.claims import Claim, claim_hand_over
    from webapp.jobs.context import Interruptions
    from webapp.jobs.execution import execute
    from webapp.jobs.models import Job, JobState

    interruptions = Interruptions()
    _stop_on_signals(interruptions)
    _stop_when_orphaned(interruptions)
    job = Job.objects.filter(uid=uid, fence=fence, state=JobState.RUNNING).first()
    if job is not None and claim_hand_over(
        Claim(job.pk, fence), worker=f"{socket.gethostname()}:{os.getpid()}"
    ):
        execute(job, interruptions)
    return 0


def _stop_on_signals(interruptions: Interruptions) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        interruptions.stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _stop_when_orphaned(interruptions: Interruptions) -> None:
    """The worker holds the other end of standard input; its end is the worker's end."""
    from django.conf import settings

    def wait() -> None:
        while os.read(0, 1024):
            pass
        interruptions.stopped.set()
        time.sleep(settings.JOB_STOP_GRACE_S)
        os._exit(ORPHANED_EXIT_CODE)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(UUID(sys.argv[1]), int(sys.argv[2])))
