"""Keeping figures that are derived from a project's preferences until there is a newer preference."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class _Kept:
    newest: int
    value: object
    cost_s: float
    made_at: float

    def serves(self, newest: int) -> bool:
        age = time.time() - self.made_at
        return self.newest == newest or (self.cost_s > CHEAP_S and age < AGE_FACTOR * self.cost_s)


def kept_figure(name: str, project: Project, make: Callable[[], FigureT]) -> FigureT:
    """What `make` gives, kept for an hour under `name` while the project has no newer preference. One query."""
    newest = Preference.objects.filter(project=project).aggregate(newest=Max("pk"))["newest"] or 0
    # A name may hold a topic, which is any text; a key of a cache may not.
    key = f"figure:{hashlib.sha256(name.encode()).hexdigest()}:{project.pk}"
    kept: _Kept | None = page_cache.get(key)
    if kept is None or not kept.serves(newest):
        started = time.perf_counter()
        value = make()
        kept = _Kept(newest, value, time.perf_counter() - started, time.time())
        page_cache.set(key, kept, KEPT_S)
    return cast(FigureT, kept.value)
