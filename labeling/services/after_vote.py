"""What follows a vote or its undo: everything that others are told of it, in the vote's own transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from labeling.models import Comparison, Outcome, Preference, Resolution
from labeling.services.review import disagreements_refresh
from labeling.services.standing import settled_stay
from webapp.webhooks.events import event_emit, is_wanted


def vote_settled(
    *, comparison: Comparison, row: Preference, is_change: bool = False, is_resolved_anew: bool = False
) -> None:
    """`votes_settled` of one. `is_resolved_anew`: the comparison's resolution is another one now."""
    votes_settled([row], resolved=[comparison.pk] if is_resolved_anew else [], is_change=is_change)


def first_vote_settled(row: Preference) -> None:
    """The same where nobody else has said anything of the comparison, so that nobody can disagree."""
    _votes_told([row], resolved=[row.comparison_id], is_change=False)


def votes_settled(rows: Sequence[Preference], *, resolved: Collection[int], is_change: bool = False) -> None:
    """Call it once these new answers of one project, each on another comparison, are written and the comparisons
    resolved, inside that transaction.

    `is_change`: they replaced answers that stood. `resolved`: the comparisons whose resolutions are others now. Two
    statements for the queue of disagreements where it does not change; none for webhooks that nobody asked for.
    """
    undone = [row.comparison_id for row in rows if row.outcome == Outcome.WITHDRAWN]
    if undone:
        settled_stay(undone)
        disagreements_refresh(undone)
    disagreements_refresh({row.comparison_id for row in rows}.difference(undone), is_answered=True)
    _votes_told(rows, resolved=resolved, is_change=is_change)


def _votes_told(rows: Sequence[Preference], *, resolved: Collection[int], is_change: bool) -> None:
    for row in rows:
        kind = "label.changed" if is_change else "label.created"
        if row.outcome == Outcome.WITHDRAWN:
            kind = "label.withdrawn"
        if is_wanted(row.project_id, kind):
            event_emit(project_id=row.project_id, kind=kind, data=_label(row))
    if rows:
        resolutions_told(rows[0].project_id, resolved)


def resolutions_told(project_id: int, comparison_ids: Collection[int]) -> None:
    """Tell webhooks that these comparisons have other resolutions now, inside the transaction of the deed."""
    if not (comparison_ids and is_wanted(project_id, "resolution.changed")):
        return
    found = {row.comparison_id: row for row in Resolution.objects.filter(comparison_id__in=comparison_ids)}
    for pk in sorted(comparison_ids):
        event_emit(project_id=project_id, kind="resolution.changed", data=_resolution(pk, found.get(pk)))


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


def _resolution(comparison_id: int, found: Resolution | None) -> dict[str, Any]:
    """`outcome` is null where no vote is left."""
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
