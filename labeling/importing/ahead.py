"""One thing made while the one before it is in use: what follows is read while the database writes."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(made: Iterable[T]) -> Iterator[T]:
    """The same things in the same order; the next one is made in a thread of its own meanwhile.

    What making one raises is raised where it would have been had. At most two are held at once.
    """
    end = object()
    source = iter(made)
    with ThreadPoolExecutor(1, thread_name_prefix="import-ahead") as thread:
        coming = thread.submit(next, source, end)
        while (found := coming.result()) is not end:
            coming = thread.submit(next, source, end)
            yield found  # type: ignore[misc]
