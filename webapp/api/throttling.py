"""How many requests a person may send, counted by window: two numbers, however many there are."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from rest_framework.throttling import UserRateThrottle

if TYPE_CHECKING:  # DRF reads this module while its own views are still loading
    from rest_framework.request import Request
    from rest_framework.views import APIView

# Of the share of a window: what is let pass at a moment is let pass at the moment that was told.
ROUNDING = 1e-6


class WindowThrottle(UserRateThrottle):
    """The requests let pass in this minute (or whatever the rate is for), and the share of the last minute's that is as
    long ago as this one still has to go. REST framework's own keeps the time of each, and reads and writes them all."""

    duration: int
    num_requests: int
    wait_s: float | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        key = self.get_cache_key(request, view)
        if self.rate is None or key is None:
            return True
        window, into = divmod(self.timer(), self.duration)
        now, before = f"{key}:{int(window)}", f"{key}:{int(window) - 1}"
        last = min(self.cache.get(before, 0), self.num_requests)
        number = self._counted(now)
        passes = bool(number + last * (1 - into / self.duration) <= self.num_requests + ROUNDING)
        if not passes:
            self._taken_back(now)
            self.wait_s = self._wait_s(min(number - 1, self.num_requests), last, into)
        return passes

    def _wait_s(self, passed: int, last: int, into: float) -> float | None:
        """Seconds until one more is let pass, if nobody sends any meanwhile: later in this window, of whose last one
        fewer count from then on, or in the next, where those of this window are the last. None: never."""
        most = self.num_requests - 1
        if most < 0:
            return None
        if passed <= most:
            return self.duration * (1 - (most - passed) / last) - into
        return self.duration - into + self.duration * (1 - most / passed)

    def _counted(self, window: str) -> int:
        """The requests of this window that were let pass, with this one."""
        for _try in range(2):
            try:
                return int(self.cache.incr(window))
            except ValueError:  # the first one, or a full cache has just dropped it
                if self.cache.add(window, 1, 2 * self.duration):
                    break
        return 1

    def _taken_back(self, window: str) -> None:
        """What was refused does not count: else a client a little above the rate would never be let pass again."""
        with suppress(ValueError):  # dropped meanwhile
            self.cache.decr(window)

    def wait(self) -> float | None:
        """Seconds after which a client should try again: `Retry-After`, rounded up."""
        return self.wait_s
