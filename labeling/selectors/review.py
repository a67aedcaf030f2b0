"""The queue of disagreements, one kind at a time, the largest first, paged by key along its partial index."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet

from labeling.models import Comparison, Disagreement, DisagreementKind, Labeler, Preference, Project, Voice
from webapp.caches import page_cache

PAGE_SIZE = 25
CHOICES_S = 300


@dataclass(frozen=True)
class QueueFilter:
    """What to keep; an empty field keeps everything. `labeler` is a labeler's id, `judge` a voice's source, `least`
    the smallest size, `since` the first day on which a vote came last."""

    kind: str = DisagreementKind.PEOPLE.value
    language: str = ""
    topic: str = ""
    labeler: int | None = None
    judge: str = ""
    least: float | None = None
    since: date | None = None

    @property
    def kept(self) -> dict[str, Any]:
        """What a link must carry, the kind included."""
        return {name: value for name, value in vars(self).items() if value not in ("", None)}

    @property
    def is_narrow(self) -> bool:
        return len(self.kept) > 1


@dataclass(frozen=True)
class Place:
    """A place in the queue: behind a row of this size and comparison."""

    size: float
    comparison_id: int

    def __str__(self) -> str:
        return f"{self.size!r}:{self.comparison_id}"


def read_place(text: str) -> Place | None:
    """The place that `str(Place)` wrote; None for anything else."""
    size, _colon, number = text.partition(":")
    try:
        place = Place(float(size), int(number))
    except ValueError:
        return None
    is_real = math.isfinite(place.size) and 0 < place.comparison_id < 2**63
    return place if is_real else None


def queue(project: Project, wanted: QueueFilter) -> QuerySet[Disagreement]:
    """What waits under these filters, largest first. The condition repeats the index `disagreement_queue`."""
    found = Disagreement.objects.filter(project=project, kind=wanted.kind, settled_at__isnull=True)
    if wanted.language:
        found = found.filter(comparison__prompt__language=wanted.language)
    if wanted.topic:
        found = found.filter(comparison__prompt__topic=wanted.topic)
    if wanted.labeler is not None:
        said = Preference.objects.filter(
            comparison=OuterRef("comparison"), labeler_id=wanted.labeler, labeler__project=project
        )
        found = found.filter(Exists(said))
    if wanted.judge:
        heard = Voice.objects.filter(comparison=OuterRef("comparison"), kind="judge", source=wanted.judge)
        found = found.filter(Exists(heard))
    if wanted.least is not None:
        found = found.filter(size__gte=wanted.least)
    if wanted.since is not None:
        found = found.filter(comparison__resolution__updated_at__date__gte=wanted.since)
    return found.order_by("-size", "comparison_id")


def behind(found: QuerySet[Disagreement], place: Place) -> QuerySet[Disagreement]:
    same = Q(size=place.size, comparison_id__gt=place.comparison_id)
    return found.filter(Q(size__lte=place.size), Q(size__lt=place.size) | same)


def before(found: QuerySet[Disagreement], place: Place) -> QuerySet[Disagreement]:
    """The nearest first."""
    same = Q(size=place.size, comparison_id__lt=place.comparison_id)
    rows = found.filter(Q(size__gte=place.size), Q(size__gt=place.size) | same)
    return rows.order_by("size", "-comparison_id")


def shown(found: QuerySet[Disagreement]) -> QuerySet[Disagreement]:
    """With what a row of the list shows: texts, resolution and voices."""
    voices = Prefetch("comparison__voices", Voice.objects.order_by("kind", "name", "pk"))
    return found.select_related(
        "comparison__prompt",
        "comparison__response_a",
        "comparison__response_b",
        "comparison__resolution",
    ).prefetch_related(voices)


@dataclass(frozen=True)
class QueuePage:
    rows: list[Disagreement]
    next: Place | None


def queue_page(found: QuerySet[Disagreement], place: Place | None, *, size: int = PAGE_SIZE) -> QueuePage:
    """One page behind the place, or the first. Two queries: the same cost on every page."""
    rows = list(shown(behind(found, place) if place else found)[: size + 1])
    last = rows[size - 1] if len(rows) > size else None
    return QueuePage(rows[:size], Place(last.size, last.comparison_id) if last else None)


def queue_counts(project: Project) -> dict[str, int]:
    """What waits, by kind, out of the partial index."""
    rows = Disagreement.objects.filter(project=project, settled_at__isnull=True).order_by()
    return dict(rows.values_list("kind").annotate(number=Count("pk")))


@dataclass(frozen=True)
class Neighbours:
    """Comparison ids before and after one in its queue; None at the ends."""

    previous: int | None
    next: int | None


def neighbours(
    found: QuerySet[Disagreement], comparison: Comparison, kind: str, closed: Collection[int] = ()
) -> Neighbours:
    """Also of a row that has just been settled: its place is where it was. None of both where it never was. Rows with
    one of the responses `closed`, which are in the reader's hand, are passed over: their desks refuse him."""
    if closed:
        in_hand = Q(comparison__response_a_id__in=closed) | Q(comparison__response_b_id__in=closed)
        found = found.exclude(in_hand)
    row = Disagreement.objects.filter(comparison=comparison, kind=kind).first()
    if row is None:
        return Neighbours(None, found.values_list("comparison_id", flat=True).first())
    place = Place(row.size, row.comparison_id)
    return Neighbours(
        before(found, place).values_list("comparison_id", flat=True).first(),
        behind(found, place).values_list("comparison_id", flat=True).first(),
    )


def kinds_of(comparison: Comparison) -> list[Disagreement]:
    """What is between the voices on this comparison, settled or not, the largest first."""
    return list(Disagreement.objects.filter(comparison=comparison).order_by("-size", "kind"))


@dataclass(frozen=True)
class QueueChoices:
    labelers: list[tuple[str, str]]
    judges: list[tuple[str, str]]


def queue_choices(project: Project, most: int = 200) -> QueueChoices:
    """Labelers and judges to filter by, kept for five minutes. A judge is named once, by its newest name."""
    key = f"review-choices:{project.pk}"
    kept: QueueChoices | None = page_cache.get(key)
    if kept is not None:
        return kept
    labelers = Labeler.objects.filter(project=project).order_by("name", "pk").values_list("pk", "name")[:most]
    judges = Voice.objects.filter(project=project, kind="judge").order_by("source", "-name")
    named: dict[str, str] = {}
    for source, name in judges.values_list("source", "name").distinct()[:most]:
        named.setdefault(source, name)
    found = QueueChoices(
        [(str(pk), name) for pk, name in labelers], sorted(named.items(), key=lambda item: item[1])
    )
    page_cache.set(key, found, CHOICES_S)
    return found
