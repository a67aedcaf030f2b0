"""What follows a vote or its undo: everything that others are told of it, in the vote's own transaction."""

from __future__ import annotations

from typing import Any

from labeling.models import Comparison, Outcome, Preference, Resolution
from webapp.webhooks.events import event_emit, is_wanted


def vote_settled(
    *, comparison: Comparison, row: Preference, is_change: bool = False, is_resolved_anew: bool = False
) -> None:
    """Call it once `row` is written and the comparison resolved, inside that transaction.

    `is_change`: it replaced an answer that stood. `is_resolved_anew`: the comparison's resolution is another
    one now. No statement where no webhook asks for any of it.
    """
    project_id = comparison.project_id
    kind = "label.changed" if is_change else "label.created"
    if row.outcome == Outcome.WITHDRAWN:
        kind = "label.withdrawn"
    if is_wanted(project_id, kind):
        event_emit(project_id=project_id, kind=kind, data=_label(row))
    if is_resolved_anew and is_wanted(project_id, "resolution.changed"):
        event_emit(project_id=project_id, kind="resolution.changed", data=_resolution(comparison.pk))


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
