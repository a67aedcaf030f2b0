"""Each field of a filter as a condition of a comparison, and the index that gives the comparisons that meet it.

A condition knows three things: what must hold of a comparison (`holds`); the ids of those that meet it, or of somewhat
more, where an index gives them (`ids`); and whether that index gives them in their order, so that a page can be read
straight from it (`is_ordered`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from labeling.items.filters import CHAMPION, UNREAD, ItemFilter
from labeling.models import (
    LABEL_OUTCOMES,
    Comparison,
    FacetKind,
    ItemFacet,
    Labeler,
    Preference,
    Project,
    Resolution,
    Voice,
    VoiceKind,
)
from labeling.search.matching import holds_phrase, holds_words, prompts_matching
from labeling.search.tokens import query_of
from labeling.selectors.preferences import latest_revisions

Holds = Q | Exists


@dataclass(frozen=True)
class Ids:
    """Rows of a table, each with a comparison's id in `key`. `order` is that of the index that they are found by: asked
    for it, the database reads that index and nothing else, however early it may stop."""

    rows: QuerySet[Any]
    key: str = "comparison_id"
    order: str = ""

    def first(self, most: int) -> QuerySet[Any]:
        return self.rows.order_by(self.order or self.key).values_list(self.key, flat=True)[:most]


@dataclass(frozen=True)
class Condition:
    holds: tuple[Holds, ...]
    ids: tuple[Ids, ...] = ()
    is_ordered: bool = False
    prompts: Callable[[int], list[int] | None] | None = field(default=None)

    def narrow(self, most: int) -> Q | None:
        """The comparisons that may meet this by their numbers, where there are at most so many; else None."""
        if self.prompts is not None:
            prompts = self.prompts(most)
            return None if prompts is None else Q(prompt_id__in=prompts)
        if not self.ids:
            return None
        numbers: set[int] = set()
        for ids in self.ids:
            found = list(ids.first(most + 1))  # a comparison may be there more than once
            if len(found) > most:
                return None
            numbers.update(found)
        return Q(pk__in=numbers)


def _met_by(rows: QuerySet[Any], *, order: str = "") -> Condition:
    """What a row about the comparison says. `order`: that of its index, where it is not the comparisons' own."""
    holds = Exists(rows.filter(comparison_id=OuterRef("pk")))
    return Condition((holds,), (Ids(rows, order=order),), is_ordered=not order)


def different(rows: QuerySet[Any], name: str, *, most: int = 100) -> Iterator[Any]:
    """One row for each value of a field, by steps along its index: a statement for each value, whatever the table's
    size."""
    row = rows.order_by(name).first()
    for _ in range(most):
        if row is None:
            return
        yield row
        row = rows.filter(**{f"{name}__gt": getattr(row, name)}).order_by(name).first()


def _between(name: str, low: Any, high: Any) -> Q:
    found = Q()
    if low is not None:
        found &= Q(**{f"{name}__gte": low})
    if high is not None:
        found &= Q(**{f"{name}__lte": high})
    return found


def _text(project: Project, wanted: ItemFilter) -> Condition | None:
    if not wanted.q:
        return None
    query = query_of(wanted.q)
    phrases = query.phrases or (() if query.words else (wanted.q.strip(),))
    holds: list[Holds] = [holds_phrase(phrase) for phrase in phrases]
    if not query.words:
        return Condition(tuple(holds))
    return Condition(
        (holds_words(query.words), *holds),
        prompts=lambda most: prompts_matching(project, query.words, most=most),
    )


def _facet(kind: FacetKind) -> Callable[[Project, ItemFilter], Condition | None]:
    def condition(project: Project, wanted: ItemFilter) -> Condition | None:
        value = getattr(wanted, kind.value)
        return _met_by(ItemFacet.objects.filter(project=project, kind=kind, value=value)) if value else None

    return condition


def _verdict(project: Project, wanted: ItemFilter) -> Condition | None:
    if not wanted.judge and not wanted.verdict:
        return None
    kind = VoiceKind.MODEL if wanted.judge == CHAMPION else VoiceKind.JUDGE
    spoken = Voice.objects.filter(project=project, kind=kind)
    if not wanted.verdict:
        return _met_by(spoken.filter(source=wanted.judge), order="outcome")
    said = spoken.filter(outcome="" if wanted.verdict == UNREAD else wanted.verdict)
    if wanted.judge:
        return _met_by(said.filter(source=wanted.judge))
    ids = tuple(Ids(said.filter(source=row.source)) for row in different(spoken, "source"))
    return Condition((Exists(said.filter(comparison_id=OuterRef("pk"))),), ids or (Ids(said.none()),))


def _probability(project: Project, wanted: ItemFilter) -> Condition | None:
    bounds = _between("p_a", wanted.p_min, wanted.p_max)
    rows = Voice.objects.filter(bounds, project=project, kind=VoiceKind.MODEL, source=CHAMPION)
    return _met_by(rows, order="p_a") if bounds else None


def _score(project: Project, wanted: ItemFilter) -> Condition | None:
    of_a, of_b = (_between(name, wanted.score_min, wanted.score_max) for name in ("value_a", "value_b"))
    if not of_a:
        return None
    rows = Voice.objects.filter(project=project, kind="model")
    holds = Exists(rows.filter(of_a | of_b, comparison_id=OuterRef("pk")))
    return Condition(
        (holds,), (Ids(rows.filter(of_a), order="value_a"), Ids(rows.filter(of_b), order="value_b"))
    )


def _resolved(project: Project, wanted: ItemFilter) -> Condition | None:
    if wanted.outcome == "none":
        return Condition((~Q(Exists(Resolution.objects.filter(comparison_id=OuterRef("pk")))),))
    return (
        _met_by(Resolution.objects.filter(project=project, outcome=wanted.outcome))
        if wanted.outcome
        else None
    )


def _disputed(project: Project, wanted: ItemFilter) -> Condition | None:
    # Not "= True", which Django writes as the bare column: SQLite takes no index for that.
    rows = Resolution.objects.filter(project=project, is_disputed__in=[True])
    return _met_by(rows) if wanted.disputed else None


def _agreement(project: Project, wanted: ItemFilter) -> Condition | None:
    bounds = _between("agreement", wanted.agreement_min, wanted.agreement_max)
    rows = Resolution.objects.filter(bounds, project=project)
    return _met_by(rows, order="agreement") if bounds else None


def _labeled(project: Project, wanted: ItemFilter) -> Condition | None:
    """Answers that stand. The index gives those that were replaced since, too."""
    bounds = _between("created_at", _start_of(wanted.labeled_from), _end_of(wanted.labeled_to))
    if not bounds and wanted.labeler is None:
        return None
    given = Preference.objects.filter(bounds)
    if wanted.labeler is None:
        given = given.filter(project=project)
    else:
        person = (
            Labeler.objects.filter(project=project, uid=wanted.labeler).values_list("pk", flat=True).first()
        )
        given = given.filter(labeler_id=person or 0)
    answers = given.filter(comparison_id=OuterRef("pk"), outcome__in=LABEL_OUTCOMES)
    return Condition((Exists(latest_revisions(answers)),), (Ids(given, order="created_at"),))


def _start_of(day: date | None) -> datetime | None:
    return None if day is None else timezone.make_aware(datetime.combine(day, time.min))


def _end_of(day: date | None) -> datetime | None:
    """The last microsecond of the day."""
    return None if day is None else timezone.make_aware(datetime.combine(day, time.max))


def _state(project: Project, wanted: ItemFilter) -> Condition | None:
    rows = Comparison.objects.filter(project=project, state=wanted.state)
    return Condition((Q(state=wanted.state),), (Ids(rows, "pk"),), True) if wanted.state else None


def _use(project: Project, wanted: ItemFilter) -> Condition | None:
    if wanted.use in ("", "work"):  # all but a few
        return Condition((Q(use=wanted.use),)) if wanted.use else None
    # Repeats the condition of the partial index.
    rows = Comparison.objects.filter(~Q(use="work"), project=project, use=wanted.use)
    return Condition((Q(use=wanted.use),), (Ids(rows, "pk"),), True)


def _numbers(project: Project, wanted: ItemFilter) -> Condition | None:
    rows = Comparison.objects.filter(project=project, pk__in=wanted.ids)
    return Condition((Q(pk__in=wanted.ids),), (Ids(rows, "pk"),)) if wanted.ids else None


# Those that usually leave least come first: of several that leave much, the first whose index is in order is read.
CONDITIONS = (
    _numbers,
    _text,
    _use,
    _facet(FacetKind.TOPIC),
    _facet(FacetKind.MODEL),
    _disputed,
    _labeled,
    _agreement,
    _probability,
    _score,
    _verdict,
    _resolved,
    _facet(FacetKind.LANGUAGE),
    _state,
)


def conditions_of(project: Project, wanted: ItemFilter) -> list[Condition]:
    """A condition for each thing that is asked for."""
    return [found for make in CONDITIONS if (found := make(project, wanted)) is not None]
