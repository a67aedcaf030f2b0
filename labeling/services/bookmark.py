"""Bookmarks: how far a person has walked a queue, so that 100,000 own labels at its top cost nothing.

`passed_*` of a Labeler (everybody's queue) or a BatchPerson (a batch) says: whatever stands in the queue's order
(-priority, id) up to (`passed_priority`, `passed_id`) was had by this person, or had no place, at `passed_at`. What
comes free later bears a later `freed_at` and is looked for by it; everything else that changes the queue's order or
content raises `Project.work_epoch`, and the bookmark is void. `passed_id` 0 stands for "before the first of that
priority".
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from labeling.models import IN_QUEUE, QUEUE_ORDER, BatchPerson, Comparison, DrawnBy, Labeler, Project

# A draw moves the bookmark with this chance, so the look-up it takes is paid once in a hundred draws.
MOVE_SHARE = 0.01
# More rows of one priority than this before the next one, and the bookmark stands among them.
TIES = 50
# More that came free than this, and the queue is walked from its beginning.
FREED_LIMIT = 1000
# A place that was given back may be stamped before the look and be committed after it.
LOOK_BACK = timedelta(minutes=1)
THE_END = (-sys.float_info.max, 2**63 - 1)
# Of one batch, which says that there is one: SQLite takes "not null" for a reason to read another index.
IN_BATCH = Q(state="open", open_slots__gt=0)


def freed_since(passed_at: Any) -> Q:
    """What came free later. The words of the partial indexes stand in it."""
    return Q(freed_at__isnull=False, freed_at__gt=passed_at)


def has_freed() -> Exists:
    """Whether anything of everybody's queue came free since the bookmark of a labeler (the outer row) was set."""
    rows = Comparison.objects.filter(IN_QUEUE, project_id=OuterRef("project_id"))
    return Exists(rows.filter(freed_since(OuterRef("passed_at"))))


def has_freed_of_batch() -> Exists:
    """The same of a batch, for a person of it (the outer row)."""
    rows = Comparison.objects.filter(IN_BATCH, batch_id=OuterRef("batch_id"))
    return Exists(rows.filter(freed_since(OuterRef("passed_at"))))


def all_of(rows: QuerySet[Comparison]) -> QuerySet[Comparison]:
    return rows


def down_from(rows: QuerySet[Comparison], priority: Any) -> QuerySet[Comparison]:
    return rows.filter(priority__lte=priority)


def within(rows: QuerySet[Comparison], priority: Any, after: Any) -> QuerySet[Comparison]:
    return rows.filter(priority=priority, pk__gt=after)


def below(rows: QuerySet[Comparison], priority: Any) -> QuerySet[Comparison]:
    return rows.filter(priority__lt=priority)


@dataclass(frozen=True)
class Kind:
    """Everybody's queue or a batch. `standing` gives all that has a place there, by the id of the project or batch;
    `rows`, by a labeler's id and that, what the person may be given of it."""

    name: DrawnBy
    standing: Callable[[Any], QuerySet[Comparison]]
    rows: Callable[[Any, Any], QuerySet[Comparison]]


@dataclass
class Queue:
    """Comparisons in the queue's order, as one person walks them. `place` is the id of the project or batch, `mark`
    the row that holds the bookmark. `has_freed` false: the caller knows that nothing came free since it was set."""

    kind: Kind
    place: int
    labeler: int
    mark: Labeler | BatchPerson
    epoch: int
    has_freed: bool = True

    @property
    def standing(self) -> QuerySet[Comparison]:
        return self.kind.standing(self.place)

    @property
    def rows(self) -> QuerySet[Comparison]:
        return self.kind.rows(self.labeler, self.place)

    @property
    def has_bookmark(self) -> bool:
        return self.mark.passed_id is not None and self.mark.passed_epoch == self.epoch

    @property
    def is_at_end(self) -> bool:
        """Whether the bookmark has passed all of the queue: only what came free since can be left."""
        return self.has_bookmark and (self.mark.passed_priority, self.mark.passed_id) == THE_END

    def behind(self) -> Iterator[tuple[Callable[..., QuerySet[Comparison]], dict[str, Any]]]:
        """What the bookmark has not passed, in the queue's order: one or two ranges of the index, or all of it. Each
        as one of the functions above, and its values."""
        priority, after = self.mark.passed_priority, self.mark.passed_id
        if priority is None or not self.has_bookmark:
            yield all_of, {}
        elif self.is_at_end:
            return
        elif not after:
            yield down_from, {"priority": priority}
        else:
            yield within, {"priority": priority, "after": after}
            yield below, {"priority": priority}

    def freed_before(self) -> list[int]:
        """Ids of what came free before the bookmark since it was set, best first. Too many void the bookmark."""
        if not (self.has_bookmark and self.has_freed):
            return []
        priority = self.mark.passed_priority
        before = Q(priority__gt=priority) | Q(priority=priority, pk__lte=self.mark.passed_id)
        freed = self.rows.filter(before, freed_since(self.mark.passed_at))
        found = list(freed.order_by("freed_at").values_list("priority", "pk")[: FREED_LIMIT + 1])
        if len(found) > FREED_LIMIT:
            self.mark.passed_id = None
            return []
        return [pk for _priority, pk in sorted(found, key=lambda row: (-row[0], row[1]))]

    def move(self, *, is_empty: bool) -> None:
        """Now and then, and where there is none, set the bookmark before the first of the person's rows.

        The labeler is locked by the caller. Read without skipping locked rows: what somebody's passing lock hides is
        not passed. `is_empty`: a draw has just found nothing here.
        """
        if self.has_bookmark:
            is_due = not self.is_at_end if is_empty else random.random() < MOVE_SHARE  # noqa: S311 - sampling
            if not is_due or self.freed_before():
                return
        place = self._place_before_first()
        mark = self.mark
        mark.passed_priority, mark.passed_id = place
        mark.passed_at, mark.passed_epoch = timezone.now() - LOOK_BACK, self.epoch
        type(mark)._default_manager.filter(pk=mark.pk).update(
            passed_priority=place[0], passed_id=place[1], passed_at=Now() - LOOK_BACK, passed_epoch=self.epoch
        )

    def _place_before_first(self) -> tuple[float, int]:
        for part, values in self.behind():
            first = part(self.rows, **values).order_by(*QUEUE_ORDER).values_list("priority", "pk").first()
            if first is not None:
                priority, pk = first
                ties = (
                    self.standing.filter(priority=priority, pk__lt=pk).order_by(*QUEUE_ORDER)[:TIES].count()
                )
                return (priority, pk - 1) if ties == TIES else (priority, 0)
        return THE_END


def bookmarks_void(project_id: int) -> None:
    """Call it where the queue is changed in another way than by work itself: rows added, moved, given other places.

    In one transaction with locks on comparisons it comes before them, as the project's own lock does.
    """
    Project.objects.filter(pk=project_id).update(work_epoch=F("work_epoch") + 1)
