"""From where a labeler's next comparison may come: each source a query that reads a few entries of one index.

The conditions of the partial indexes are repeated word for word, else they do not serve.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from labeling.models import (
    IN_QUEUE,
    QUEUE_ORDER,
    Assignment,
    AssignmentState,
    BatchPerson,
    Comparison,
    ComparisonUse,
    DrawnBy,
    Labeler,
    Preference,
    PreferenceSource,
)
from labeling.scheme import read_scheme
from labeling.services.bookmark import IN_BATCH, Queue, has_freed_of_batch

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler

# How many labels a comparison that checks on people takes: everybody's, so it is never done.
CHECK_NEEDED = 30_000
IS_CHECK = ~Q(use="work") & Q(state="open")
# What came free before the bookmark is tried one by one; the rest waits for the next draw.
FREED_TRIES = 5
# So many rows of the random order are tried for one that the person has not had.
RANDOM_TRIES = 20


@dataclass(frozen=True)
class Draw:
    """One source: what `Assignment.drawn` says of it, and its comparisons in the order in which they are given."""

    name: str
    rows: QuerySet[Comparison]
    # Of gold or qualification: few rows that everybody draws from.
    is_check: bool = False


class HadEach(Exists):
    """EXISTS that is asked of one row after the other, by its own index.

    PostgreSQL would make an anti-join of a plain NOT EXISTS, or a hash of its inside, and read all that the person has
    ever done before the first row; it leaves alone what has an OFFSET.
    """

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template="EXISTS(%(subquery)s OFFSET 0)")


def not_had(labeler: Labeler, comparisons: QuerySet[Comparison]) -> QuerySet[Comparison]:
    """Those that the person has not labeled, skipped or in hand, nor brought a vote on along."""
    had = Assignment.objects.filter(labeler=labeler, comparison=OuterRef("pk")).exclude(
        state=AssignmentState.EXPIRED
    )
    brought_along = Preference.objects.filter(
        labeler=labeler,
        comparison=OuterRef("pk"),
        source__in=[PreferenceSource.IMPORT, PreferenceSource.SIMULATION],
    )
    return comparisons.filter(~HadEach(had), ~HadEach(brought_along))


def candidates(labeler: Labeler) -> QuerySet[Comparison]:
    """Everybody's queue, as far as this person may be given it. The caller adds order and limit."""
    return not_had(labeler, Comparison.objects.filter(IN_QUEUE, project_id=labeler.project_id))


def checks(labeler: Labeler, use: ComparisonUse) -> QuerySet[Comparison]:
    """Gold or qualification comparisons that the person has not had."""
    rows = Comparison.objects.filter(IS_CHECK, project_id=labeler.project_id, use=use)
    return not_had(labeler, rows)


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
    queues = []
    for place in places.order_by(F("batch__deadline").asc(nulls_last=True), "batch_id"):
        standing = Comparison.objects.filter(IN_BATCH, batch_id=place.batch_id)
        epoch = labeler.project.work_epoch
        queues.append(Queue(standing, not_had(labeler, standing), place, epoch, place.has_freed))
    return queues


def common_queue(labeler: Labeler) -> Queue:
    """Everybody's."""
    standing = Comparison.objects.filter(IN_QUEUE, project_id=labeler.project_id)
    is_freed = getattr(labeler, "has_freed", True)
    return Queue(standing, candidates(labeler), labeler, labeler.project.work_epoch, is_freed)


def by_priority(queryset: QuerySet[Comparison]) -> QuerySet[Comparison]:
    return queryset.order_by(*QUEUE_ORDER)


def from_random_key(queryset: QuerySet[Comparison], start: float) -> QuerySet[Comparison]:
    return queryset.filter(random_key__gte=start).order_by("random_key", "id")


def qualification_draws(labeler: Labeler) -> Iterator[Draw]:
    yield from _anywhere(DrawnBy.QUALIFY, checks(labeler, ComparisonUse.QUALIFICATION), is_check=True)


class Work:
    """Where a person's next comparison may come from: their batches, then everybody's queue.

    `labeler` comes from `person_read`. Where people only rank, everybody's queue is the ranking page's.
    """

    def __init__(self, labeler: Labeler) -> None:
        self.labeler = labeler
        self.batches = batch_queues(labeler)
        is_in_pairs = read_scheme(labeler.project.scheme).screen != "ranking"
        self.common = common_queue(labeler) if is_in_pairs else None

    def draws(self) -> Iterator[Draw]:
        """Gold and random draws by chance, at the project's rates; then batches, then the queue by priority.

        Gold comes before batches, so that the rate is the same for those who work in one.
        """
        project = self.labeler.project
        if _by_chance(project.gold_share):
            yield from _anywhere(DrawnBy.GOLD, checks(self.labeler, ComparisonUse.GOLD), is_check=True)
        yield from self._batch_draws()
        if self.common is not None and _by_chance(project.random_share):
            yield from random_draws(self.common)
        yield from self._common_draws()

    def sure_draws(self) -> Iterator[Draw]:
        """Those that leave nothing out and hang on no chance."""
        yield from self._batch_draws()
        yield from self._common_draws()

    def _batch_draws(self) -> Iterator[Draw]:
        for queue in self.batches:
            yield from queue_draws(DrawnBy.BATCH, queue)

    def _common_draws(self) -> Iterator[Draw]:
        if self.common is not None:
            yield from queue_draws(DrawnBy.PRIORITY, self.common)

    def bookmarks_move(self, lease: Assignment | None) -> None:
        """After a draw that gave `lease`, or nothing: of each queue that it came by."""
        drawn = lease.drawn if lease is not None else None
        if drawn == DrawnBy.GOLD:
            return
        for queue in self.batches:
            is_here = lease is not None and drawn == DrawnBy.BATCH and _is_of(queue, lease)
            queue.move(is_empty=not is_here)
            if is_here:
                return
        if self.common is not None and drawn != DrawnBy.RANDOM:
            self.common.move(is_empty=lease is None)


def _is_of(queue: Queue, lease: Assignment) -> bool:
    return isinstance(queue.mark, BatchPerson) and queue.mark.batch_id == lease.comparison.batch_id


def queue_draws(name: DrawnBy, queue: Queue) -> Iterator[Draw]:
    """By priority: what came free before the bookmark, which is always of higher priority, then what is behind it."""
    for pk in queue.freed_before()[:FREED_TRIES]:
        yield Draw(name, queue.rows.filter(pk=pk).order_by("pk"))
    for part in queue.behind():
        yield Draw(name, by_priority(part))


def random_draws(queue: Queue) -> Iterator[Draw]:
    """From a random place in the random order, and from its beginning: the first of RANDOM_TRIES rows that the person
    has not had. Who has had all of so many gets the next by priority instead.

    Ordered by an expression, or the databases would rather walk the random order's index, own rows and all.
    """
    if queue.is_at_end:
        return
    for start in (random.random(), 0.0):  # noqa: S311 - a place in an order, not a secret
        near = from_random_key(queue.standing, start).values("pk")[:RANDOM_TRIES]
        yield Draw(DrawnBy.RANDOM, queue.rows.filter(pk__in=near).order_by(F("random_key") + 0.0, "pk"))


def _anywhere(name: str, rows: QuerySet[Comparison], *, is_check: bool = False) -> Iterator[Draw]:
    """From a random place in the random order, and round."""
    start = random.random()  # noqa: S311 - a place in an order, not a secret
    yield Draw(name, from_random_key(rows, start), is_check)
    yield Draw(name, from_random_key(rows, 0.0), is_check)


def _by_chance(share: float) -> bool:
    return share > 0 and random.random() < share  # noqa: S311 - sampling
