"""Which labels of a snapshot were revised after it was made, by the people who gave them or by a reviewer. The
snapshot, and what was made of it, stays as it is; this says how far it has fallen behind.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from django.db.models import Exists, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from labeling.models import Adjudication, Preference, Project, Snapshot, SnapshotState
from labeling.selectors.figures import kept_figure

# Stands for the first of something that there is none of.
NEVER = sys.maxsize


class Revised(NamedTuple):
    """Labels (of one person on one comparison, or a reviewer's settlement of it) of which there is a newer one, and
    the comparisons that they are on."""

    labels: int = 0
    comparisons: int = 0


@dataclass(frozen=True)
class Revisions:
    """What was revised in a project. `labels` is (labels, 3): the first revision's id, the last one's, comparison.
    `settled` is (comparisons, 4): the first preference's id, the first adjudication's, the last one's, comparison."""

    labels: npt.NDArray[np.int64]
    settled: npt.NDArray[np.int64]

    def since(self, snapshot: Snapshot | None) -> Revised:
        """The labels that this snapshot has seen in a form that is no longer the last one: changed or undone since,
        or overruled by a reviewer, whose withdrawal is one more settlement.

        A label that came after the snapshot is none of them, however often it was revised; so is a settlement of what
        the snapshot does not have.
        """
        if snapshot is None or snapshot.state != SnapshotState.READY:
            return Revised()
        seen, seen_settled = snapshot.last_preference_id, snapshot.last_adjudication_id
        first, last, comparison = self.labels.T
        said = comparison[(first <= seen) & (last > seen)]
        vote, first, last, comparison = self.settled.T
        decided = comparison[((vote <= seen) | (first <= seen_settled)) & (last > seen_settled)]
        behind = np.concatenate([said, decided])
        return Revised(labels=len(behind), comparisons=len(np.unique(behind)))


def revisions_of(project: Project) -> Revisions:
    """Costs two queries while there is no newer preference or adjudication; else a look at all of them after the
    oldest snapshot."""
    newest = Adjudication.objects.filter(project=project).aggregate(newest=Max("pk"))["newest"]
    return kept_figure("revisions", project, lambda: _read(project), version=newest)


def revised_since(snapshot: Snapshot) -> Revised:
    return revisions_of(snapshot.project).since(snapshot)


def is_revised(snapshot: Snapshot) -> bool:
    """Whether `revised_since` would find anything: a look at what came after the snapshot, up to the first."""
    if snapshot.state != SnapshotState.READY:
        return False
    seen = Preference.objects.filter(
        comparison_id=OuterRef("comparison_id"), pk__lte=snapshot.last_preference_id, revision=1
    )
    revised = Preference.objects.filter(
        Exists(seen.filter(labeler_id=OuterRef("labeler_id"))),
        project_id=snapshot.project_id,
        pk__gt=snapshot.last_preference_id,
        revision__gt=1,
    )
    decided = Adjudication.objects.filter(
        comparison_id=OuterRef("comparison_id"), pk__lte=snapshot.last_adjudication_id
    )
    settled = Adjudication.objects.filter(
        Q(Exists(seen)) | Q(Exists(decided)),
        project_id=snapshot.project_id,
        pk__gt=snapshot.last_adjudication_id,
    )
    return revised.order_by().exists() or settled.order_by().exists()


def _read(project: Project) -> Revisions:
    ready = Snapshot.objects.filter(project=project, state=SnapshotState.READY)
    oldest = ready.aggregate(vote=Min("last_preference_id"), settled=Min("last_adjudication_id"))
    if oldest["vote"] is None:
        return Revisions(_rows([], 3), _rows([], 4))
    first = Preference.objects.filter(
        comparison_id=OuterRef("comparison_id"), labeler_id=OuterRef("labeler_id"), revision=1
    )
    later = Preference.objects.filter(project=project, pk__gt=oldest["vote"], revision__gt=1).order_by()
    labels = later.values("comparison_id", "labeler_id").annotate(
        last=Max("pk"), first=Subquery(first.values("pk")[:1])
    )
    newer = Adjudication.objects.filter(project=project, pk__gt=oldest["settled"]).order_by()
    settled = newer.values("comparison_id").annotate(
        last=Max("pk"), vote=_first(Preference.objects.all()), first=_first(Adjudication.objects.all())
    )
    return Revisions(
        _rows(labels.values_list("first", "last", "comparison_id"), 3),
        _rows(settled.values_list("vote", "first", "last", "comparison_id"), 4),
    )


def _first(rows: QuerySet[Any]) -> Coalesce:
    """The first of these rows on the outer row's comparison."""
    ours = rows.filter(comparison_id=OuterRef("comparison_id")).order_by("pk")
    return Coalesce(Subquery(ours.values("pk")[:1]), NEVER)


def _rows(found: Any, columns: int) -> npt.NDArray[np.int64]:
    return np.array(list(found), dtype=np.int64).reshape(-1, columns)
