"""How many requests a person may send, counted by window: two numbers, however many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.throttling import UserRateThrottle

if TYPE_CHECKING:  # DRF reads this module while its own views are still loading
    from rest_framework.request import Request
    from rest_framework.views import APIView


class WindowThrottle(UserRateThrottle):
    """The requests of this minute (or whatever the rate is for), and the share of the last one's that is as long ago
    as this one still has to go. REST framework's own keeps the time of each request, and reads and writes them all."""

    duration: int
    num_requests: int
    wait_s: float = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        key = self.get_cache_key(request, view)
        if self.rate is None or key is None:
            return True
        window, into = divmod(self.timer(), self.duration)
        self.wait_s = self.duration - into
        now, before = f"{key}:{int(window)}", f"{key}:{int(window) - 1}"
        last = min(self.cache.get(before, 0), self.num_requests)
        return bool(self._counted(now) + last * self.wait_s / self.duration <= self.num_requests)

    def _counted(self, window: str) -> int:
        """The requests of this window, this one included."""
        if self.cache.add(window, 1, 2 * self.duration):
            return 1
        try:
            return int(self.cache.incr(window))
        except ValueError:  # a full cache has just dropped it
            return 1

    def wait(self) -> float:
        """Until the next window: seconds after which a client should try again."""
        return self.wait_s
