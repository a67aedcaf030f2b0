"""Which comparisons a run is about."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_noop

from labeling.items.filters import ItemFilter, ItemFilterError, filter_from_json
from labeling.items.finding import items_chunks
from labeling.models import Comparison, ComparisonState, Project, Resolution, Snapshot
from labeling.snapshots.config import SPLITS
from labeling.snapshots.reading import read_snapshot
from webapp.jobs.messages import message

KINDS = ("all", "labeled", "unlabeled", "disputed", "split", "filter")


class SelectionError(ValueError):
    """The selection names something that does not exist; the message is for people."""

    permanent = True


@dataclass(frozen=True)
class Selection:
    """`limit` above 0 draws that many at random, the same ones again for the same `seed`. `wanted` is the filter of
    kind "filter"."""

    kind: str = "all"
    limit: int = 0
    seed: int = 0
    snapshot: int = 0
    split: str = ""
    wanted: ItemFilter | None = None

    def to_json(self) -> dict[str, Any]:
        plain = {name: value for name, value in vars(self).items() if name != "wanted"}
        return plain if self.wanted is None else plain | {"filter": self.wanted.to_json()}


def selection_from_json(data: Mapping[str, Any]) -> Selection:
    """Raises SelectionError for an unknown kind, split or filter, or a limit that is not a count."""
    kind, split = str(data.get("kind", "all")), str(data.get("split", ""))
    try:
        limit, seed, snapshot = (int(data.get(name) or 0) for name in ("limit", "seed", "snapshot"))
    except (TypeError, ValueError) as error:
        raise SelectionError(message(gettext_noop("limit, seed and snapshot are whole numbers"))) from error
    if kind not in KINDS:
        raise SelectionError(
            message(
                gettext_noop("unknown selection %(kind)s: choose from %(kinds)s"),
                kind=kind,
                kinds=", ".join(KINDS),
            )
        )
    if limit < 0:
        raise SelectionError(message(gettext_noop("limit must not be negative")))
    if kind == "split" and (split not in SPLITS or snapshot < 1):
        raise SelectionError(
            message(
                gettext_noop("a split selection names a snapshot and one of %(splits)s"),
                splits=", ".join(SPLITS),
            )
        )
    return Selection(kind, limit, seed, snapshot, split, _wanted(data) if kind == "filter" else None)


def _wanted(data: Mapping[str, Any]) -> ItemFilter:
    known = data.get("filter")
    try:
        if isinstance(known, Mapping):
            return filter_from_json(known)
    except ItemFilterError as error:
        raise SelectionError(str(error)) from error
    raise SelectionError(message(gettext_noop("a filter selection names a filter")))


def selected_ids(project: Project, selection: Selection) -> list[int]:
    """Ids of the selected comparisons, ascending. Raises SelectionError for a snapshot that is not there."""
    if selection.kind == "split":
        ids = _split_ids(project, selection)
    elif selection.wanted is not None:
        ids = _filtered_ids(project, selection.wanted)
    else:
        ids = list(_queryset(project, selection.kind).order_by("pk").values_list("pk", flat=True))
    if selection.limit and selection.limit < len(ids):
        chooser = random.Random(selection.seed)  # noqa: S311 - a repeatable sample, not a secret
        ids = sorted(chooser.sample(ids, selection.limit))
    return ids


def _queryset(project: Project, kind: str) -> QuerySet[Comparison]:
    rows = Comparison.objects.filter(project=project).exclude(state=ComparisonState.RETIRED)
    resolved = Resolution.objects.filter(comparison=OuterRef("pk"))
    if kind == "labeled":
        return rows.filter(Exists(resolved))
    if kind == "unlabeled":
        return rows.filter(~Exists(resolved))
    if kind == "disputed":
        return rows.filter(Exists(resolved.filter(is_disputed=True)))
    return rows


def _filtered_ids(project: Project, wanted: ItemFilter) -> list[int]:
    """Retired ones are left out, unless the filter asks for them."""
    ids = [pk for chunk in items_chunks(project, wanted) for pk in chunk]
    if wanted.state == ComparisonState.RETIRED:
        return ids
    retired = Comparison.objects.filter(project=project, state=ComparisonState.RETIRED)
    without = set(retired.values_list("pk", flat=True))
    return [pk for pk in ids if pk not in without]


def _split_ids(project: Project, selection: Selection) -> list[int]:
    snapshot = Snapshot.objects.filter(project=project, number=selection.snapshot).first()
    if snapshot is None:
        raise SelectionError(
            message(gettext_noop("this project has no snapshot %(number)d"), number=selection.snapshot)
        )
    rows = read_snapshot(snapshot, splits=[selection.split], columns=["comparison_id"])
    found = [row.comparison_id for row in rows]
    alive: set[int] = set()
    for start in range(0, len(found), 1000):
        alive.update(
            Comparison.objects.filter(project=project, pk__in=found[start : start + 1000]).values_list(
                "pk", flat=True
            )
        )
    return sorted(alive)
