"""From where a labeler's next comparison may come: each source a query that reads a few entries of one index.

The conditions of the partial indexes are repeated word for word, else they do not serve.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from django.db.models import Exists, F, FloatField, OuterRef, Q, QuerySet

from labeling.models import (
    IN_QUEUE,
    QUEUE_ORDER,
    Assignment,
    BatchPerson,
    Comparison,
    ComparisonUse,
    DrawnBy,
    Labeler,
)
from labeling.scheme import read_scheme
from labeling.services.bookmark import (
    IN_BATCH,
    Kind,
    Queue,
    all_of,
    below,
    down_from,
    has_freed_of_batch,
    within,
)
from labeling.services.rankable import prompts_ahead
from labeling.services.sources import Draw, Source, not_had

# How many labels a comparison that checks on people takes: everybody's, so it is never done.
CHECK_NEEDED = 30_000
IS_CHECK = ~Q(use="work") & Q(state="open")
# What came free before the bookmark is tried one by one; the rest waits for the next draw.
FREED_TRIES = 5
# So many rows of the random order are tried for one that the person has not had.
RANDOM_TRIES = 20


def _kind(name: DrawnBy, standing: Callable[[Any], QuerySet[Comparison]]) -> Kind:
    return Kind(name, standing, lambda labeler, place: not_had(labeler, standing(place)))


COMMON = _kind(DrawnBy.PRIORITY, lambda project: Comparison.objects.filter(IN_QUEUE, project_id=project))
BATCH = _kind(DrawnBy.BATCH, lambda batch: Comparison.objects.filter(IN_BATCH, batch_id=batch))


def candidates(labeler: Labeler) -> QuerySet[Comparison]:
    """Everybody's queue, as far as this person may be given it. The caller adds order and limit."""
    return COMMON.rows(labeler.pk, labeler.project_id)


def checks(labeler: Labeler, use: ComparisonUse) -> QuerySet[Comparison]:
    """Gold or qualification comparisons that the person has not had."""
    return _checks(labeler.pk, labeler.project_id, use)


def _checks(labeler: Any, project: Any, use: Any) -> QuerySet[Comparison]:
    return not_had(labeler, Comparison.objects.filter(IS_CHECK, project_id=project, use=use))


def has_batches() -> Exists:
    """Whether a labeler (the outer row) has an open batch."""
    return Exists(
        BatchPerson.objects.filter(
            labeler=OuterRef("pk"), batch__is_paused=False, batch__closed_at__isnull=True
        )
    )


def batch_queues(labeler: Labeler) -> list[Queue]:
    """Batches that the person may draw from, the most urgent first. One query, none for who is in no batch."""
    if not getattr(labeler, "has_batches", True):
        return []
    places = BatchPerson.objects.filter(
        labeler=labeler, batch__is_paused=False, batch__closed_at__isnull=True
    ).annotate(has_freed=has_freed_of_batch())
    epoch = labeler.project.work_epoch
    return [
        Queue(BATCH, place.batch_id, labeler.pk, place, epoch, place.has_freed)
        for place in places.order_by(F("batch__deadline").asc(nulls_last=True), "batch_id")
    ]


def common_queue(labeler: Labeler) -> Queue:
    """Everybody's."""
    is_freed = getattr(labeler, "has_freed", True)
    return Queue(COMMON, labeler.project_id, labeler.pk, labeler, labeler.project.work_epoch, is_freed)


def by_priority(queryset: QuerySet[Comparison]) -> QuerySet[Comparison]:
    return queryset.order_by(*QUEUE_ORDER)


def from_random_key(queryset: QuerySet[Comparison], start: Any) -> QuerySet[Comparison]:
    return queryset.filter(random_key__gte=start).order_by("random_key", "id")


def _by_rank(kind: Kind, part: Callable[..., QuerySet[Comparison]]) -> Callable[..., QuerySet[Comparison]]:
    """A queue by priority, or that part of it."""
    return lambda labeler, place, **values: by_priority(part(kind.rows(labeler, place), **values))


def _one(kind: Kind) -> Callable[..., QuerySet[Comparison]]:
    return lambda labeler, place, pk: kind.rows(labeler, place).filter(pk=pk).order_by("pk")


def _near(labeler: Any, place: Any, start: Any) -> QuerySet[Comparison]:
    """What of RANDOM_TRIES rows the person has not had. Ordered by an expression, or the databases would rather walk
    the random order's index, own rows and all."""
    near = from_random_key(COMMON.standing(place), start).values("pk")[:RANDOM_TRIES]
    return COMMON.rows(labeler, place).filter(pk__in=near).order_by(F("random_key") + 0.0, "pk")


_NUMBER = FloatField()
_PARTS: dict[Callable[..., QuerySet[Comparison]], dict[str, Any]] = {
    all_of: {},
    down_from: {"priority": _NUMBER},
    within: {"priority": _NUMBER, "after": None},
    below: {"priority": _NUMBER},
}
_RANKED = {
    (kind.name, part): Source(_by_rank(kind, part), place=None, **fields)
    for kind in (COMMON, BATCH)
    for part, fields in _PARTS.items()
}
_FREED = {kind.name: Source(_one(kind), place=None, pk=None) for kind in (COMMON, BATCH)}
_RANDOM = Source(_near, place=None, start=_NUMBER)
_CHECKS = {
    use: Source(
        lambda labeler, project, start, use=use: from_random_key(_checks(labeler, project, use), start),
        is_check=True,
        project=None,
        start=_NUMBER,
    )
    for use in (ComparisonUse.GOLD, ComparisonUse.QUALIFICATION)
}


def qualification_draws(labeler: Labeler) -> Iterator[Draw]:
    yield from _anywhere(DrawnBy.QUALIFY, _CHECKS[ComparisonUse.QUALIFICATION], labeler)


class Work:
    """Where a person's next comparison may come from: their batches, then everybody's queue.

    `labeler` comes from `person_read`.
    """

    def __init__(self, labeler: Labeler) -> None:
        self.labeler = labeler
        self.batches = batch_queues(labeler)
        self.is_in_pairs = read_scheme(labeler.project.scheme).screen != "ranking"

    @cached_property
    def common(self) -> Queue | None:
        """Everybody's queue. Where people only rank, it is the ranking page's while that has a prompt for this person;
        then all that is left is what nobody can rank, and comes in pairs."""
        queue = common_queue(self.labeler)
        return queue if self.is_in_pairs or not prompts_ahead(queue) else None

    def draws(self) -> Iterator[Draw]:
        """Gold and random draws by chance, at the project's rates; then batches, then the queue by priority.

        Gold comes before batches, so that the rate is the same for those who work in one.
        """
        project = self.labeler.project
        if self.is_in_pairs and _by_chance(project.gold_share):
            yield from _anywhere(DrawnBy.GOLD, _CHECKS[ComparisonUse.GOLD], self.labeler)
        yield from self._batch_draws()
        if self.is_in_pairs and self.common is not None and _by_chance(project.random_share):
            yield from random_draws(self.common)
        yield from self._common_draws()

    def sure_draws(self) -> Iterator[Draw]:
        """Those that leave nothing out and hang on no chance."""
        yield from self._batch_draws()
        yield from self._common_draws()

    def _batch_draws(self) -> Iterator[Draw]:
        for queue in self.batches:
            yield from queue_draws(queue)

    def _common_draws(self) -> Iterator[Draw]:
        if self.common is not None:
            yield from queue_draws(self.common)

    def bookmarks_move(self, lease: Assignment | None) -> None:
        """After a draw that gave `lease`, or nothing: of each queue that it came by."""
        drawn = lease.drawn if lease is not None else None
        if drawn == DrawnBy.GOLD:
            return
        for queue in self.batches:
            is_here = (
                lease is not None and drawn == DrawnBy.BATCH and lease.comparison.batch_id == queue.place
            )
            queue.move(is_empty=not is_here)
            if is_here:
                return
        if self.common is not None and drawn != DrawnBy.RANDOM:
            self.common.move(is_empty=lease is None)


def queue_draws(queue: Queue) -> Iterator[Draw]:
    """By priority: what came free before the bookmark, which is always of higher priority, then what is behind it."""
    own = {"labeler": queue.labeler, "place": queue.place}
    for pk in queue.freed_before()[:FREED_TRIES]:
        yield Draw(queue.kind.name, _FREED[queue.kind.name], own | {"pk": pk})
    for part, values in queue.behind():
        yield Draw(queue.kind.name, _RANKED[queue.kind.name, part], own | values)


def random_draws(queue: Queue) -> Iterator[Draw]:
    """From a random place in the random order, and from its beginning: the first of RANDOM_TRIES rows that the person
    has not had. Who has had all of so many gets the next by priority instead."""
    if queue.is_at_end:
        return
    for start in (random.random(), 0.0):  # noqa: S311 - a place in an order, not a secret
        own = {"labeler": queue.labeler, "place": queue.place}
        yield Draw(DrawnBy.RANDOM, _RANDOM, own | {"start": start})


def _anywhere(name: str, source: Source, labeler: Labeler) -> Iterator[Draw]:
    """From a random place in the random order, and round."""
    for start in (random.random(), 0.0):  # noqa: S311 - a place in an order, not a secret
        yield Draw(name, source, {"labeler": labeler.pk, "project": labeler.project_id, "start": start})


def _by_chance(share: float) -> bool:
    return share > 0 and random.random() < share  # noqa: S311 - sampling
