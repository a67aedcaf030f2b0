"""A source of a labeler's next comparison: a kept query for its first row, or its plain queryset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, Field, OuterRef, QuerySet, Subquery

from labeling.models import Assignment, AssignmentState, Comparison, Preference, PreferenceSource
from webapp.kept import Kept

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler

PAIR = ("prompt", "response_a", "response_b")
# What of a pair is read when it is shown: the texts alone.
_NOT_SHOWN = {
    "prompt": (
        "project", "content_hash", "group", "language", "topic", "external_id", "metadata", "created_at",
    ),
    "response_a": ("prompt", "content_hash", "model_name", "parent", "author", "created_at"),
    "response_b": ("prompt", "content_hash", "model_name", "parent", "author", "created_at"),
}  # fmt: skip
# Nor does handing out or answering a comparison need these.
OF_OTHERS = ("priority_reason", "random_key", "gold_outcome", "created_at")


def not_shown(prefix: str = "") -> tuple[str, ...]:
    """For `defer`: what of a comparison (behind this prefix) and of its texts is not read for the label page."""
    texts = (f"{name}__{field}" for name, fields in _NOT_SHOWN.items() for field in fields)
    return tuple(prefix + name for name in (*OF_OTHERS, *texts))


class Source:
    """`build` gives the comparisons of a labeler's id, and of other values, in the order in which they are given."""

    def __init__(
        self,
        build: Callable[..., QuerySet[Comparison]],
        *,
        is_check: bool = False,
        **fields: Field[Any, Any] | None,
    ) -> None:
        """`is_check`: gold or qualification, few rows that everybody draws from. `lease_take` alone locks them."""

        def first(labeler: Any, **values: Any) -> QuerySet[Comparison]:
            rows = shown(labeler, build(labeler=labeler, **values))
            return (rows if is_check else locked(rows, skip_locked=True))[:1]

        self.build = build
        self.kept: Kept[Comparison] = Kept(first, labeler=None, **fields)


@dataclass(frozen=True)
class Draw:
    """What `Assignment.drawn` says of it, a source, and its values."""

    name: str
    source: Source
    values: dict[str, Any]

    @property
    def rows(self) -> QuerySet[Comparison]:
        return self.source.build(**self.values)

    def first(self) -> Comparison | None:
        """The first that nobody has locked, with its texts and `own_id`, now locked but for checks."""
        return self.source.kept.first(**self.values)


def shown(labeler: Any, rows: QuerySet[Comparison]) -> QuerySet[Comparison]:
    """With their texts, and with `own_id`: the id of the person's lapsed assignment there or None, which spares
    `lease_take` a query."""
    own = Assignment.objects.filter(labeler=labeler, comparison=OuterRef("pk")).order_by()
    return rows.select_related(*PAIR).defer(*not_shown()).annotate(own_id=Subquery(own.values("pk")[:1]))


def locked(rows: QuerySet[Comparison], *, skip_locked: bool = False) -> QuerySet[Comparison]:
    return rows.select_for_update(skip_locked=skip_locked, no_key=True, of=("self",))


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
