"""Which labels of a snapshot were revised after it was made. The snapshot, and what was made of it, stays as it is;
this says how far it has fallen behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from django.db.models import Exists, Max, Min, OuterRef, Subquery

from labeling.models import Preference, Project, Snapshot, SnapshotState
from labeling.selectors.figures import kept_figure


class Revised(NamedTuple):
    """Labels (of one person on one comparison) that have a newer revision, and the comparisons that they are on."""

    labels: int = 0
    comparisons: int = 0


@dataclass(frozen=True)
class Revisions:
    """The revised labels of a project. `rows` is (labels, 3): the first revision's id, the last one's, comparison."""

    rows: npt.NDArray[np.int64]

    def since(self, snapshot: Snapshot | None) -> Revised:
        """The labels that this snapshot has seen in a form that is no longer the last one: changed or undone since.

        A label that came after the snapshot is none of them, however often it was revised.
        """
        if snapshot is None or snapshot.state != SnapshotState.READY:
            return Revised()
        first, last, comparison = self.rows.T
        seen = snapshot.last_preference_id
        behind = comparison[(first <= seen) & (last > seen)]
        return Revised(labels=len(behind), comparisons=len(np.unique(behind)))


def revisions_of(project: Project) -> Revisions:
    """Costs one query while there is no newer preference; else a look at all preferences after the oldest snapshot."""
    return kept_figure("revisions", project, lambda: _read(project))


def revised_since(snapshot: Snapshot) -> Revised:
    return revisions_of(snapshot.project).since(snapshot)


def is_revised(snapshot: Snapshot) -> bool:
    """Whether `revised_since` would find anything: one look at the revisions after the snapshot, up to the first."""
    if snapshot.state != SnapshotState.READY:
        return False
    seen = snapshot.last_preference_id
    later = Preference.objects.filter(project_id=snapshot.project_id, pk__gt=seen, revision__gt=1)
    earlier = Preference.objects.filter(
        comparison_id=OuterRef("comparison_id"), labeler_id=OuterRef("labeler_id"), revision=1, pk__lte=seen
    )
    return later.filter(Exists(earlier)).order_by().exists()


def _read(project: Project) -> Revisions:
    ready = Snapshot.objects.filter(project=project, state=SnapshotState.READY)
    oldest = ready.aggregate(oldest=Min("last_preference_id"))["oldest"]
    if oldest is None:
        return Revisions(np.empty((0, 3), dtype=np.int64))
    first = Preference.objects.filter(
        comparison_id=OuterRef("comparison_id"), labeler_id=OuterRef("labeler_id"), revision=1
    )
    later = Preference.objects.filter(project=project, pk__gt=oldest, revision__gt=1).order_by()
    labels = later.values("comparison_id", "labeler_id").annotate(
        last=Max("pk"), first=Subquery(first.values("pk")[:1])
    )
    found = list(labels.values_list("first", "last", "comparison_id"))
    return Revisions(np.array(found, dtype=np.int64).reshape(-1, 3))
