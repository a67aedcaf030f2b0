"""From where a labeler's next comparison may come: each source a query that reads a few entries of one index.

The conditions of the partial indexes are repeated word for word, else they do not serve.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, F, FloatField, OuterRef, Q, QuerySet

from labeling.models import (
    IN_QUEUE,
    QUEUE_ORDER,
    Assignment,
    AssignmentState,
    Batch,
    BatchPerson,
    Comparison,
    ComparisonUse,
    DrawnBy,
    Labeler,
    Preference,
    PreferenceSource,
)
from labeling.services.bookmark import (
    all_of,
    behind_bookmark,
    below,
    down_from,
    freed_before,
    has_bookmark,
    within,
)
from labeling.services.sources import Draw, Source

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler

# How many labels a comparison that checks on people takes: everybody's, so it is never done.
CHECK_NEEDED = 30_000
IS_CHECK = ~Q(use="work") & Q(state="open")
# Of one batch, which says that there is one: SQLite takes "not null" for a reason to read another index.
IN_BATCH = Q(state="open", open_slots__gt=0)
# What came free before the bookmark is tried one by one; the rest waits for the next draw.
FREED_TRIES = 5


class HadEach(Exists):
    """EXISTS that is asked of one row after the other, by its own index.

    PostgreSQL would make an anti-join of a plain NOT EXISTS, or a hash of its inside, and read all that the person has
    ever done before the first row; it leaves alone what has an OFFSET.
    """

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template="EXISTS(%(subquery)s OFFSET 0)")


def not_had(labeler: Any, comparisons: QuerySet[Comparison]) -> QuerySet[Comparison]:
    """Those that the person with this id has not labeled, skipped or in hand, nor brought a vote on along."""
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
    return _queue(labeler.pk, labeler.project_id)


def checks(labeler: Labeler, use: ComparisonUse) -> QuerySet[Comparison]:
    """Gold or qualification comparisons that the person has not had."""
    return _checks(labeler.pk, labeler.project_id, use)


def of_batch(labeler: Labeler, batch_id: int) -> QuerySet[Comparison]:
    return _of_batch(labeler.pk, batch_id)


def _queue(labeler: Any, project: Any) -> QuerySet[Comparison]:
    return not_had(labeler, Comparison.objects.filter(IN_QUEUE, project_id=project))


def _checks(labeler: Any, project: Any, use: Any) -> QuerySet[Comparison]:
    return not_had(labeler, Comparison.objects.filter(IS_CHECK, project_id=project, use=use))


def _of_batch(labeler: Any, batch: Any) -> QuerySet[Comparison]:
    return not_had(labeler, Comparison.objects.filter(IN_BATCH, batch_id=batch))


def _by_rank(part: Callable[..., QuerySet[Comparison]]) -> Callable[..., QuerySet[Comparison]]:
    """The queue by priority, or that part of it."""
    return lambda labeler, project, **place: by_priority(part(_queue(labeler, project), **place))


def open_batches(labeler: Labeler) -> QuerySet[Batch]:
    """Batches that the person may draw from, the most urgent first."""
    rows = Batch.objects.filter(people__labeler=labeler, is_paused=False, closed_at__isnull=True)
    return rows.order_by(F("deadline").asc(nulls_last=True), "pk")


def has_batches() -> Exists:
    """Whether a labeler (the outer row) has an open batch."""
    return Exists(
        BatchPerson.objects.filter(
            labeler=OuterRef("pk"), batch__is_paused=False, batch__closed_at__isnull=True
        )
    )


def by_priority(queryset: QuerySet[Comparison]) -> QuerySet[Comparison]:
    return queryset.order_by(*QUEUE_ORDER)


def from_random_key(queryset: QuerySet[Comparison], start: Any) -> QuerySet[Comparison]:
    return queryset.filter(random_key__gte=start).order_by("random_key", "id")


_NUMBER = FloatField()
_RANKED = {
    all_of: Source(_by_rank(all_of), project=None),
    down_from: Source(_by_rank(down_from), project=None, priority=_NUMBER),
    within: Source(_by_rank(within), project=None, priority=_NUMBER, after=None),
    below: Source(_by_rank(below), project=None, priority=_NUMBER),
}
_FREED = Source(
    lambda labeler, project, pk: _queue(labeler, project).filter(pk=pk).order_by("pk"), project=None, pk=None
)
_BATCH = Source(lambda labeler, batch: by_priority(_of_batch(labeler, batch)), batch=None)
_RANDOM = Source(
    lambda labeler, project, start: from_random_key(_queue(labeler, project), start),
    project=None,
    start=_NUMBER,
)
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


def work_draws(labeler: Labeler) -> Iterator[Draw]:
    """Gold and random draws by chance, at the project's rates; then batches, then the queue by priority.

    Gold comes before batches, so that the rate is the same for those who work in one. `labeler` comes from
    `person_read`.
    """
    project = labeler.project
    if _by_chance(project.gold_share):
        yield from _anywhere(DrawnBy.GOLD, _CHECKS[ComparisonUse.GOLD], labeler)
    yield from batch_draws(labeler)
    if _by_chance(project.random_share):
        yield from _anywhere(DrawnBy.RANDOM, _RANDOM, labeler)
    yield from queue_draws(labeler)


def batch_draws(labeler: Labeler) -> Iterator[Draw]:
    if getattr(labeler, "has_batches", True):
        for pk in list(open_batches(labeler).values_list("pk", flat=True)):
            yield Draw(DrawnBy.BATCH, _BATCH, {"labeler": labeler.pk, "batch": pk})


def queue_draws(labeler: Labeler) -> Iterator[Draw]:
    """By priority: what came free before the bookmark, which is always of higher priority, then what is behind it."""
    own = {"labeler": labeler.pk, "project": labeler.project_id}
    if has_bookmark(labeler) and getattr(labeler, "has_freed", True):
        for pk in freed_before(labeler, candidates(labeler))[:FREED_TRIES]:
            yield Draw(DrawnBy.PRIORITY, _FREED, own | {"pk": pk})
    for part, place in behind_bookmark(labeler):
        yield Draw(DrawnBy.PRIORITY, _RANKED[part], own | place)


def _anywhere(name: str, source: Source, labeler: Labeler) -> Iterator[Draw]:
    """From a random place in the random order, and round."""
    for start in (random.random(), 0.0):  # noqa: S311 - a place in an order, not a secret
        yield Draw(name, source, {"labeler": labeler.pk, "project": labeler.project_id, "start": start})


def _by_chance(share: float) -> bool:
    return share > 0 and random.random() < share  # noqa: S311 - sampling
