"""Celery beat ends when it is asked to, whatever it is doing.

Celery's own handler closes the broker's connection and raises SystemExit where the signal came. In the middle of a
send the closed connection raises its own error on the way out, and beat takes that for a task that could not be sent
and goes on: 9 of 150 signals at random moments of a busy schedule were lost so. Ours sets the flag that beat's loop
asks before each turn, every CELERY_BEAT_MAX_LOOP_INTERVAL at least; the loop writes the schedule as it ends.
"""

from __future__ import annotations

import signal
from typing import Any

from celery.signals import beat_init

# A send that hangs, as to a broker that is away, is broken off after this long.
GRACE_S = 5.0


def _on_init(sender: Any = None, **_kwargs: Any) -> None:
    """Take the place of Celery's handlers, which are there by now. `sender` is beat's service."""
    is_asked = False

    def end(*_signal: Any) -> None:
        nonlocal is_asked
        if is_asked:  # a second signal may come while the first one's flag is being set, under a lock
            return
        is_asked = True
        # Not service.stop(): it writes to the log, which the signal may have interrupted.
        sender._is_shutdown.set()
        signal.setitimer(signal.ITIMER_REAL, GRACE_S, GRACE_S)

    def break_off(*_signal: Any) -> None:
        raise SystemExit

    signal.signal(signal.SIGALRM, break_off)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


def connect() -> None:
    """Called when the tasks are loaded; in a process that is no beat the signal never comes."""
    beat_init.connect(_on_init, weak=False, dispatch_uid="jobs.beat_init")
