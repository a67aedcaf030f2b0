"""What a Celery worker does beside its tasks.

It says that it lives, mends the queue, and passes a shutdown on.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from webapp.jobs.beats import beat_record, beat_remove
from webapp.jobs.cleaning import remove_old_folders
from webapp.jobs.reaper import reap
from webapp.jobs.runner import shutdown

logger = logging.getLogger(__name__)
BEAT_S = 10.0
CLEAN_S = 3600.0


class SideThread(threading.Thread):
    """Beats every ten seconds and reaps every JOB_REAP_S: mending needs no Celery beat and no free slot."""

    def __init__(self, *, name: str, queues: list[str]) -> None:
        super().__init__(name="worker-side", daemon=True)
        self.worker_name = name
        self.queues = queues
        self.ended = threading.Event()

    def run(self) -> None:
        chores = [
            Chore(BEAT_S, lambda: beat_record(name=self.worker_name, pid=os.getpid(), queues=self.queues)),
            Chore(settings.JOB_REAP_S, reap),
            Chore(CLEAN_S, remove_old_folders),
        ]
        try:
            while not self.ended.is_set():
                for chore in chores:
                    chore.run_if_due()
                self.ended.wait(min(BEAT_S, settings.JOB_REAP_S))
            beat_remove(name=self.worker_name, pid=os.getpid())
        except (DatabaseError, InterfaceError) as error:
            logger.warning("the worker's last beat was not written: %s", error)
        finally:
            connections.close_all()


class Chore:
    """Something to do every so many seconds; a failing database only makes it late."""

    def __init__(self, every_s: float, action: Any) -> None:
        self.every_s = every_s
        self.action = action
        self.next_at = time.monotonic()

    def run_if_due(self) -> None:
        now = time.monotonic()
        if now < self.next_at:
            return
        self.next_at = now + self.every_s
        try:
            self.action()
        except (DatabaseError, InterfaceError, OSError) as error:
            logger.warning("%s failed: %s", getattr(self.action, "__name__", "beat"), error)
            connections.close_all()


_threads: list[SideThread] = []


def _on_ready(sender: Any = None, **_kwargs: Any) -> None:
    thread = SideThread(name=sender.hostname, queues=sorted(sender.app.amqp.queues.consume_from))
    _threads.append(thread)
    thread.start()


def _on_shutting_down(**_kwargs: Any) -> None:
    shutdown.begin()


def _on_shutdown(**_kwargs: Any) -> None:
    for thread in _threads:
        thread.ended.set()
        thread.join(timeout=5)
    _threads.clear()


def connect() -> None:
    """Called when the tasks are loaded; in a process that is no worker none of these signals ever comes."""
    worker_ready.connect(_on_ready, weak=False, dispatch_uid="jobs.ready")
    worker_shutting_down.connect(_on_shutting_down, weak=False, dispatch_uid="jobs.shutting_down")
    worker_shutdown.connect(_on_shutdown, weak=False, dispatch_uid="jobs.shutdown")
