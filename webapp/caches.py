"""Two caches. `default` counts log-ins and requests, and is shared by all processes where there is a Redis.

`page_cache` keeps rendered texts and figures of pages in each process's own memory: they are quickly made
again, may hold any Python object, and so never go where another program could write them.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.redis import RedisCache
from django.utils.connection import ConnectionProxy
from redis import exceptions

logger = logging.getLogger(__name__)
AWAY = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError)
# ConnectionErrors to redis-py, but of a Redis that answers: a setting is wrong, and waiting mends nothing.
REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError)
page_cache = ConnectionProxy(caches, "pages")


class JsonSerializer:
    """JSON instead of pickle: what somebody else wrote into Redis is never run."""

    def dumps(self, value: Any) -> Any:
        return value if type(value) is int else json.dumps(value)

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class SharedCache(RedisCache):
    """Django's Redis cache, which counts as empty while Redis does not answer: limits then let people pass.

    What a Redis that answers refuses (a password, an option of the URL) is raised: limits are not off unseen.
    """

    def add(self, key: Any, value: Any, *args: Any, **options: Any) -> bool:
        try:
            return bool(super().add(key, value, *args, **options))
        except AWAY as error:
            return bool(self._away(error, True))

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        try:
            return super().get(key, default, version)
        except AWAY as error:
            return self._away(error, default)

    def set(self, key: Any, value: Any, *args: Any, **options: Any) -> None:
        try:
            super().set(key, value, *args, **options)
        except AWAY as error:
            self._away(error, None)

    def incr(self, key: Any, *args: Any, **options: Any) -> int:
        try:
            return int(super().incr(key, *args, **options))
        except AWAY as error:
            return int(self._away(error, 0))

    def delete(self, key: Any, version: int | None = None) -> bool:
        try:
            return bool(super().delete(key, version))
        except AWAY as error:
            return bool(self._away(error, False))

    def _away(self, error: exceptions.RedisError, answer: Any) -> Any:
        if isinstance(error, REFUSED):
            raise error
        logger.warning("the shared cache does not answer: %s", error)
        return answer
