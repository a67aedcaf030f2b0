"""The thread beside a running handler: it keeps the lease alive and notices a cancel or a lost claim."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from webapp.jobs.claims import Claim, claim_check, claim_heartbeat
from webapp.jobs.context import CANCEL_POLL_S, Interruptions

logger = logging.getLogger(__name__)


def heartbeat_s() -> float:
    """Seconds between heartbeats: as set, but at least three to a lease."""
    return min(float(settings.JOB_HEARTBEAT_S), settings.JOB_LEASE_S / 3)


class LeaseKeeper:
    """`beat()` when it is time; remembers when the lease was last known to hold, by this process's own clock.

    A database that does not answer is no proof of a lost claim, but once a whole lease has passed without
    a heartbeat the claim counts as lost: somebody else may have taken it.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.beaten_at = time.monotonic()

    def beat(self, *, force: bool = False) -> bool:
        """Prolong the lease if it is time to. False if the claim is lost."""
        now = time.monotonic()
        if not force and now - self.beaten_at < heartbeat_s():
            return True
        try:
            held = claim_heartbeat(self.claim)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("heartbeat of job %d failed: %s", self.claim.job_id, error)
            connections.close_all()
            return now - self.beaten_at < settings.JOB_LEASE_S
        self.beaten_at = now
        return held


class Watch:
    """Use as a context manager around the handler.

    The thread has its own database connection and closes it.
    """

    def __init__(self, claim: Claim, interruptions: Interruptions) -> None:
        self.claim = claim
        self.interruptions = interruptions
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"job-{claim.job_id}-watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        keeper = LeaseKeeper(self.claim)
        pause = min(CANCEL_POLL_S, heartbeat_s())
        try:
            while not self._ended.wait(pause):
                if not keeper.beat():
                    self.interruptions.lost.set()
                    return
                self._look_for_cancel()
        finally:
            connections.close_all()

    def _look_for_cancel(self) -> None:
        try:
            if claim_check(self.claim).cancel_requested:
                self.interruptions.cancelled.set()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("job %d could not be looked up: %s", self.claim.job_id, error)
            connections.close_all()
