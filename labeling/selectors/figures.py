"""Keeping figures: those of a project's preferences until there is a newer one, counts for a while."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar, cast

from django.db.models import Max

from labeling.models import Preference, Project
from webapp.caches import page_cache

FigureT = TypeVar("FigureT")
KEPT_S = 3600
# Figures that cost less than this are always made anew; dearer ones may be as old as a multiple of their
# cost, so that a page that polls while people label spends at most a twentieth of its time on them.
CHEAP_S = 0.5
AGE_FACTOR = 20
# Counts that cost less are always counted anew.
CHEAP_COUNT_S = 0.1


# A lock for each figure that is being made in this process.
_making: dict[str, Lock] = {}


@dataclass(frozen=True)
class _Kept:
    """`made_from`: the newest preference, and the version that the caller gave."""

    made_from: tuple[int, object]
    value: object
    cost_s: float
    made_at: float

    def serves(self, present: tuple[int, object]) -> bool:
        age = time.time() - self.made_at
        return self.made_from == present or (self.cost_s > CHEAP_S and age < AGE_FACTOR * self.cost_s)


def kept_figure(
    name: str, project: Project, make: Callable[[], FigureT], *, version: object = None
) -> FigureT:
    """What `make` gives, kept for an hour under `name` while the project has no newer preference. One query.

    `version` stands for what else it is made from: another one counts as a newer preference does. One thread makes a
    figure; the others are given the one before, or wait where there is none.
    """
    newest = Preference.objects.filter(project=project).aggregate(newest=Max("pk"))["newest"] or 0
    present = (newest, version)
    # A name may hold a topic, which is any text; a key of a cache may not.
    key = f"figure:{hashlib.sha256(name.encode()).hexdigest()}:{project.pk}"
    kept: _Kept | None = page_cache.get(key)
    if kept is None or not kept.serves(present):
        kept = _remade(key, kept, present, make)
    return cast(FigureT, kept.value)


def _remade(key: str, before: _Kept | None, present: tuple[int, object], make: Callable[[], object]) -> _Kept:
    lock = _making.setdefault(key, Lock())
    if not lock.acquire(blocking=before is None) and before is not None:
        return before
    try:
        kept: _Kept | None = page_cache.get(key)  # which another thread may have made meanwhile
        if kept is None or not kept.serves(present):
            started = time.perf_counter()
            value = make()
            kept = _Kept(present, value, time.perf_counter() - started, time.time())
            page_cache.set(key, kept, KEPT_S)
        return kept
    finally:
        if _making.get(key) is lock:  # not the next one, which others may wait for
            del _making[key]
        lock.release()


@dataclass(frozen=True)
class _Counted:
    value: object
    cost_s: float
    made_at: float

    def serves(self, max_age_s: float) -> bool:
        dear = AGE_FACTOR * self.cost_s if self.cost_s > CHEAP_COUNT_S else 0.0
        return time.time() - self.made_at < max(max_age_s, dear)


def kept_counts(
    name: str,
    project_ids: Collection[int],
    make: Callable[[list[int]], dict[int, FigureT]],
    *,
    max_age_s: float = 0.0,
) -> dict[int, FigureT]:
    """By project, what `make` gives for all of those that are not kept.

    What moves with every deed has no version to be told by: it may be as old as `max_age_s`, or as AGE_FACTOR of what
    it cost where that was much.
    """
    keys = {f"counts:{name}:{pk}": pk for pk in project_ids}
    kept: dict[str, _Counted] = page_cache.get_many(keys)
    found = {keys[key]: entry.value for key, entry in kept.items() if entry.serves(max_age_s)}
    missing = [pk for pk in project_ids if pk not in found]
    if missing:
        started = time.perf_counter()
        made = make(missing)
        cost_s, now = time.perf_counter() - started, time.time()
        page_cache.set_many(
            {f"counts:{name}:{pk}": _Counted(value, cost_s, now) for pk, value in made.items()}, KEPT_S
        )
        found |= made
    return cast(dict[int, FigureT], found)
