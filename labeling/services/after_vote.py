"""What follows a vote or its undo: everything that others are told of it, in the vote's own transaction."""

from __future__ import annotations

from typing import Any

from labeling.models import Comparison, ComparisonState, Outcome, Preference, Resolution
from labeling.services.resolution import ADJUDICATED
from labeling.services.review import disagreements_refresh
from webapp.webhooks.events import event_emit, is_wanted


def vote_settled(
    *, comparison: Comparison, row: Preference, is_change: bool = False, is_resolved_anew: bool = False
) -> None:
    """Call it once `row` is written and the comparison resolved, inside that transaction.

    `is_change`: it replaced an answer that stood. `is_resolved_anew`: the comparison's resolution is another
    one now. One statement for a comparison that is not in the queue of disagreements; none for webhooks that nobody
    asked for.
    """
    project_id = comparison.project_id
    is_undone = row.outcome == Outcome.WITHDRAWN
    if is_undone:
        _stay_settled(comparison)
    disagreements_refresh([comparison.pk], is_answered=not is_undone)
    kind = "label.changed" if is_change else "label.created"
    if is_undone:
        kind = "label.withdrawn"
    if is_wanted(project_id, kind):
        event_emit(project_id=project_id, kind=kind, data=_label(row))
    if is_resolved_anew:
        resolution_told(comparison)


def resolution_told(comparison: Comparison) -> None:
    """Tell webhooks that the comparison's resolution is another one now, inside the transaction of the deed."""
    if is_wanted(comparison.project_id, "resolution.changed"):
        data = _resolution(comparison.pk)
        event_emit(project_id=comparison.project_id, kind="resolution.changed", data=data)


def _stay_settled(comparison: Comparison) -> None:
    """A vote that is undone gives its place back, but not of what a reviewer has settled meanwhile."""
    settled = Comparison.objects.filter(pk=comparison.pk, resolution__method=ADJUDICATED)
    settled.exclude(state=ComparisonState.RETIRED).update(state=ComparisonState.DONE, open_slots=0)


def _label(row: Preference) -> dict[str, Any]:
    """Against the comparison's responses, as stored: `a` is its response_a, on whichever side it was shown."""
    return {
        "comparison": row.comparison_id,
        "preference": row.pk,
        "labeler": str(row.labeler.uid),
        "revision": row.revision,
        "outcome": row.outcome,
        "strength": row.strength,
    }


def _resolution(comparison_id: int) -> dict[str, Any]:
    """`outcome` is null where no vote is left."""
    found = Resolution.objects.filter(comparison_id=comparison_id).first()
    if found is None:
        return {"comparison": comparison_id, "outcome": None}
    return {
        "comparison": comparison_id,
        "outcome": found.outcome,
        "p_a": found.p_a,
        "strength": found.strength,
        "votes": {
            "a": found.votes_a,
            "b": found.votes_b,
            "tie": found.votes_tie,
            "both_bad": found.votes_both_bad,
        },
        "method": found.method,
        "is_disputed": found.is_disputed,
    }
