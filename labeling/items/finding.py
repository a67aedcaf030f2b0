"""Finding items: pages by key that cost about the same wherever they are, and all ids of a filter.

At a million comparisons the planner's choice between "walk the newest and check" and "look the condition up and sort"
is a guess, and a wrong one costs seconds. So each condition's own index is asked first whether it leaves few: then
those few are checked and sorted. Where every one leaves many, the first index that is in order is walked, in windows,
each of its rows checked for the rest; after 10,000 rows the page ends, full or not, and says where to go on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from labeling.items.conditions import Condition, Ids, conditions_of
from labeling.items.filters import ItemFilter
from labeling.models import Comparison, Project

PAGE_SIZE = 40
FEW = 5000
# Small against the table, so that looking each row up costs less than reading all of it, to the planner, too.
WINDOWS = (2000,) * 5
CHUNK = 1000
SHOWN = ("prompt", "response_a", "response_b", "resolution", "batch")


@dataclass(frozen=True)
class ItemPage:
    """One page, newest first. `older` and `newer` are the ids to continue from, or None at the ends.

    `is_partial`: the page ended before it was full, and there may be more behind `older` (or `newer`). `total` is how
    many the filter finds, where that is known.
    """

    rows: list[Comparison]
    older: int | None
    newer: int | None
    is_partial: bool = False
    total: int | None = None


def items_page(
    project: Project,
    wanted: ItemFilter,
    *,
    before: int | None = None,
    after: int | None = None,
    size: int = PAGE_SIZE,
    hidden: Collection[int] = (),
) -> ItemPage:
    """The page below id `before`, or above id `after`, or the first. `hidden` are responses whose comparisons are left
    out. Three statements at most, and one more for each condition."""
    conditions = conditions_of(project, wanted)
    rows = _found(project, conditions, hidden)
    few = _few(conditions)
    if few is not None:
        return _page_of_few(rows.filter(few), before, after, size)
    driver = next((condition.ids[0] for condition in conditions if condition.is_ordered), None)
    ids = driver or Ids(Comparison.objects.filter(project=project), "pk")
    return _walk(rows, ids, before, after, size, takes_all=not conditions)


def items_chunks(
    project: Project,
    wanted: ItemFilter,
    *,
    above: int = 0,
    up_to: int | None = None,
    hidden: Collection[int] = (),
) -> Iterator[list[int]]:
    """Ids of all that the filter finds, ascending, 1,000 at a time, each chunk read when it is asked for."""
    conditions = conditions_of(project, wanted)
    rows = _found(project, conditions, hidden)
    few = _few(conditions)
    if few is not None:
        rows = rows.filter(few)
    if up_to is not None:
        rows = rows.filter(pk__lte=up_to)
    while ids := list(rows.filter(pk__gt=above).order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        yield ids
        above = ids[-1]


def items_found(
    project: Project, wanted: ItemFilter, *, hidden: Collection[int] = ()
) -> QuerySet[Comparison]:
    """All that the filter finds, to be counted or narrowed down further."""
    conditions = conditions_of(project, wanted)
    few = _few(conditions)
    rows = _found(project, conditions, hidden)
    return rows if few is None else rows.filter(few)


def items_among(project: Project, wanted: ItemFilter, ids: Collection[int]) -> QuerySet[Comparison]:
    """Those of these few that the filter finds now."""
    return _found(project, conditions_of(project, wanted)).filter(pk__in=ids)


def _found(
    project: Project, conditions: list[Condition], hidden: Collection[int] = ()
) -> QuerySet[Comparison]:
    rows = Comparison.objects.filter(project=project).order_by()
    for condition in conditions:
        rows = rows.filter(*condition.holds)
    return rows.exclude(Q(response_a__in=hidden) | Q(response_b__in=hidden)) if hidden else rows


def _few(conditions: list[Condition]) -> Q | None:
    """The candidates of the first condition that leaves few. None where none does, or where the only one there is can
    be read page by page in any case."""
    if len(conditions) == 1 and conditions[0].is_ordered:
        return None
    return next((few for condition in conditions if (few := condition.narrow(FEW)) is not None), None)


def _page_of_few(rows: QuerySet[Comparison], before: int | None, after: int | None, size: int) -> ItemPage:
    ids = sorted(rows.values_list("pk", flat=True), reverse=True)
    if after is not None:
        above = sum(pk > after for pk in ids)
        start = max(0, above - size)
        shown = ids[start:above]
    else:
        start = 0 if before is None else sum(pk >= before for pk in ids)
        shown = ids[start : start + size]
    page = _shown(Comparison.objects.filter(pk__in=shown))
    return ItemPage(
        page,
        older=shown[-1] if shown and start + len(shown) < len(ids) else None,
        newer=shown[0] if shown and start else None,
        total=len(ids),
    )


def _shown(rows: QuerySet[Comparison]) -> list[Comparison]:
    """With prompt, responses and resolution, newest first."""
    return list(rows.select_related(*SHOWN).order_by("-pk"))


def _walk(
    rows: QuerySet[Comparison],
    driver: Ids,
    before: int | None,
    after: int | None,
    size: int,
    *,
    takes_all: bool,
) -> ItemPage:
    """Along the driver's ids from the given place on, upwards where `after` is given. Where all of them are taken, a
    page that is not full is the last one."""
    is_up = after is not None
    place, found, has_ended = after if is_up else before, list[int](), False
    for width in (size + 1, *WINDOWS):
        window = _window(driver, place, is_up)[:width]
        matches = rows.filter(pk__in=window).order_by("pk" if is_up else "-pk")
        found += matches.values_list("pk", flat=True)[: size + 1 - len(found)]
        if len(found) > size:
            break
        place = None if takes_all else window[width - 1 : width].first()
        if place is None:
            has_ended = True
            break
    return _page_along(
        found, place, is_up=is_up, size=size, has_ended=has_ended, start=after if is_up else before
    )


def _window(driver: Ids, place: int | None, is_up: bool) -> QuerySet[Any]:
    rows = driver.rows
    if place is not None:
        rows = rows.filter(**{f"{driver.key}__{'gt' if is_up else 'lt'}": place})
    return rows.order_by(driver.key if is_up else f"-{driver.key}").values_list(driver.key, flat=True)


def _page_along(
    found: list[int], place: int | None, *, is_up: bool, size: int, has_ended: bool, start: int | None
) -> ItemPage:
    is_full = len(found) > size
    shown = found[:size]
    page = _shown(Comparison.objects.filter(pk__in=shown))
    # Where the walk goes on, and where it came from.
    onward = shown[-1] if is_full else None if has_ended else place
    back = None
    if start is not None:
        back = shown[0] if shown else start + (1 if is_up else -1)
    older, newer = (back, onward) if is_up else (onward, back)
    return ItemPage(page, older, newer, is_partial=not is_full and not has_ended)
