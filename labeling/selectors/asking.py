"""Whom a reviewer may send a comparison back to by name: the members who label, and how each would be asked."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Subquery

from labeling.models import (
    Assignment,
    AssignmentState,
    Comparison,
    ComparisonUse,
    Labeler,
    Membership,
    Preference,
    PreferenceSource,
)
from labeling.selectors.work import members_who_label
from webapp.users.models import User

AGAIN, NEXT, IN_HAND = "again", "next", "in hand"


@dataclass(frozen=True)
class Askable:
    """`how`: AGAIN (has answered it, and is asked to look again), NEXT (is given it next) or IN_HAND (has it now)."""

    member: Membership
    how: str


def people_to_ask(comparison: Comparison, actor: User) -> list[Askable]:
    """In the order of membership, without the actor and those who could not be given it. Two queries.

    These have skipped it, have answered it in a file, are paused, or have not qualified yet.
    """
    own = Assignment.objects.filter(labeler=OuterRef("pk"), comparison=comparison).order_by()
    brought_along = Preference.objects.filter(
        labeler=OuterRef("pk"),
        comparison=comparison,
        source__in=[PreferenceSource.IMPORT, PreferenceSource.SIMULATION],
    )
    rows = Labeler.objects.filter(project_id=comparison.project_id, user__isnull=False)
    rows = rows.annotate(own_state=Subquery(own.values("state")[:1]), has_brought=Exists(brought_along))
    labelers = {row.user_id: row for row in rows}
    found = []
    for member in members_who_label(comparison.project):
        how = _how(comparison, labelers.get(member.user_id))
        if how and member.user_id != actor.pk and member.user.is_active:
            found.append(Askable(member, how))
    return found


def _how(comparison: Comparison, labeler: Labeler | None) -> str:
    state = vars(labeler)["own_state"] if labeler else None
    told = {AssignmentState.SUBMITTED: AGAIN, AssignmentState.LEASED: IN_HAND, AssignmentState.SKIPPED: ""}
    if state in told:
        return told[state]
    is_qualified = comparison.project.qualification_size == 0 or bool(labeler and labeler.qualified_at)
    is_barred = labeler is not None and (labeler.paused_at is not None or vars(labeler)["has_brought"])
    return NEXT if is_qualified and not is_barred and comparison.use == ComparisonUse.WORK else ""
