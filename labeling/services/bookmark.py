"""The bookmark: how far a labeler's own queue has been walked, so that 100,000 own labels at its top cost nothing.

`Labeler.passed_*` says: whatever stands in the queue's order (-priority, id) up to (`passed_priority`, `passed_id`) was
had by this person, or had no place, at `passed_at`. What comes free later bears a later `freed_at` and is looked for by
it; everything else that changes the queue's order or content raises `Project.work_epoch`, and the bookmark is void.
`passed_id` 0 stands for "before the first of that priority".
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from labeling.models import IN_QUEUE, QUEUE_ORDER, Comparison, Labeler, Project

# A draw moves the bookmark with this chance, so the look-up it takes is paid once in a hundred draws.
MOVE_SHARE = 0.01
# More rows of one priority than this before the next one, and the bookmark stands among them.
TIES = 50
# More that came free than this, and the queue is walked from its beginning.
FREED_LIMIT = 1000
# A place that was given back may be stamped before the look and be committed after it.
LOOK_BACK = timedelta(minutes=1)
THE_END = (-sys.float_info.max, 2**63 - 1)


def has_freed() -> Exists:
    """Whether anything came free since the bookmark of a labeler (the outer row) was set."""
    return Exists(
        Comparison.objects.filter(
            IN_QUEUE,
            project_id=OuterRef("project_id"),
            freed_at__isnull=False,
            freed_at__gt=OuterRef("passed_at"),
        )
    )


def has_bookmark(labeler: Labeler) -> bool:
    return labeler.passed_id is not None and labeler.passed_epoch == labeler.project.work_epoch


def before_bookmark(labeler: Labeler) -> Q:
    priority = labeler.passed_priority
    assert priority is not None
    return Q(priority__gt=priority) | Q(priority=priority, pk__lte=labeler.passed_id)


def all_of(rows: QuerySet[Comparison]) -> QuerySet[Comparison]:
    return rows


def down_from(rows: QuerySet[Comparison], priority: Any) -> QuerySet[Comparison]:
    return rows.filter(priority__lte=priority)


def within(rows: QuerySet[Comparison], priority: Any, after: Any) -> QuerySet[Comparison]:
    return rows.filter(priority=priority, pk__gt=after)


def below(rows: QuerySet[Comparison], priority: Any) -> QuerySet[Comparison]:
    return rows.filter(priority__lt=priority)


def behind_bookmark(labeler: Labeler) -> Iterator[tuple[Callable[..., QuerySet[Comparison]], dict[str, Any]]]:
    """What the bookmark has not passed, in the queue's order: one or two ranges of the index, or all of it. Each as one
    of the functions above, and its values."""
    priority, after = labeler.passed_priority, labeler.passed_id
    if priority is None or not has_bookmark(labeler):
        yield all_of, {}
    elif not after:
        yield down_from, {"priority": priority}
    else:
        yield within, {"priority": priority, "after": after}
        yield below, {"priority": priority}


def freed_before(labeler: Labeler, rows: QuerySet[Comparison]) -> list[int]:
    """Ids of what came free before the bookmark since it was set, best first. Too many void the bookmark."""
    freed = rows.filter(before_bookmark(labeler), freed_at__isnull=False, freed_at__gt=labeler.passed_at)
    found = list(freed.order_by("freed_at").values_list("priority", "pk")[: FREED_LIMIT + 1])
    if len(found) > FREED_LIMIT:
        labeler.passed_id = None
        return []
    return [pk for _priority, pk in sorted(found, key=lambda row: (-row[0], row[1]))]


def is_due(labeler: Labeler, *, is_empty: bool) -> bool:
    """Whether the bookmark is to be moved: now and then, and where there is none. `is_empty`: this draw has found
    nothing."""
    if not has_bookmark(labeler):
        return True
    at_end = (labeler.passed_priority, labeler.passed_id) == THE_END
    return not at_end if is_empty else random.random() < MOVE_SHARE  # noqa: S311 - sampling


def bookmark_move(labeler: Labeler, rows: QuerySet[Comparison]) -> None:
    """Set the bookmark before the first of `rows`, the person's candidates, unless something came free before it.

    The labeler is locked by the caller. Read without skipping locked rows: what somebody's passing lock hides is not
    passed.
    """
    if has_bookmark(labeler) and freed_before(labeler, rows):
        return
    place = _place_before_first(labeler, rows)
    labeler.passed_priority, labeler.passed_id = place
    labeler.passed_at = timezone.now() - LOOK_BACK
    labeler.passed_epoch = labeler.project.work_epoch
    Labeler.objects.filter(pk=labeler.pk).update(
        passed_priority=place[0],
        passed_id=place[1],
        passed_at=Now() - LOOK_BACK,
        passed_epoch=labeler.passed_epoch,
    )


def _place_before_first(labeler: Labeler, rows: QuerySet[Comparison]) -> tuple[float, int]:
    for part, values in behind_bookmark(labeler):
        first = part(rows, **values).order_by(*QUEUE_ORDER).values_list("priority", "pk").first()
        if first is not None:
            priority, pk = first
            queue = Comparison.objects.filter(IN_QUEUE, project_id=labeler.project_id)
            ties = queue.filter(priority=priority, pk__lt=pk).order_by(*QUEUE_ORDER)[:TIES].count()
            return (priority, pk - 1) if ties == TIES else (priority, 0)
    return THE_END


def bookmarks_void(project_id: int) -> None:
    """Call it once the queue was changed in another way than by work itself: rows added, moved, given other places."""
    Project.objects.filter(pk=project_id).update(work_epoch=F("work_epoch") + 1)
