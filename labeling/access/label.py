"""A labeler's own assignments, and the person as a labeler."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, OuterRef, QuerySet, SlugField, Subquery, UUIDField
from django.db.models.functions import Coalesce

from labeling.access.core import Capability, checked, found, own_role, project_for, role_known
from labeling.access.members import labeler_for
from labeling.models import Assignment, AssignmentState, DrawnBy, Labeler
from labeling.services.sources import PAIR, not_shown
from webapp.kept import Kept
from webapp.users.models import User


def _own(uid: Any, user: Any) -> QuerySet[Assignment]:
    rows = Assignment.objects.filter(uid=uid, labeler__user=user)
    rows = rows.select_related("labeler", "comparison__project").defer(*not_shown("comparison__"))
    return rows.annotate(role=own_role(user, "comparison__project"))


def _own_with_texts(uid: Any, user: Any) -> QuerySet[Assignment]:
    return _own(uid, user).select_related(*(f"comparison__{name}" for name in PAIR))


def _as_labeler(slug: Any, user: Any) -> QuerySet[Labeler]:
    leased = Assignment.objects.filter(labeler=OuterRef("pk"), state=AssignmentState.LEASED)
    held = leased.exclude(drawn=DrawnBy.RANKING).order_by().values("labeler").annotate(number=Count("pk"))
    return (
        Labeler.objects.filter(user=user, project__slug=slug)
        .select_related("project")
        .annotate(role=own_role(user, "project"), held=Coalesce(Subquery(held.values("number")), 0))
    )


_OWN = Kept(_own, uid=UUIDField(), user=None)
_OWN_WITH_TEXTS = Kept(_own_with_texts, uid=UUIDField(), user=None)
_LABELER = Kept(_as_labeler, slug=SlugField(), user=None)


def assignment_for(user: User, uid: UUID, *, with_texts: bool = True) -> Assignment:
    """The person's own assignment; anybody else's is a 404. One query. `with_texts`: prompt and responses, too."""
    assignment = found((_OWN_WITH_TEXTS if with_texts else _OWN).first(uid=uid, user=user.pk))
    project = role_known(user, assignment.comparison.project, vars(assignment)["role"])
    checked(user, project, Capability.LABEL)
    assignment.labeler.user = user
    return assignment


def own_labeler(user: User, slug: str) -> Labeler:
    """The person as a labeler of the project with this slug, made at first use; afterwards one query for both, which
    also says how many leases the person has (`held`).

    Raises Http404 or PermissionDenied.
    """
    labeler = _LABELER.first(slug=slug, user=user.pk)
    if labeler is None:
        labeler = labeler_for(user, project_for(user, slug, Capability.LABEL))
        labeler.held = 0  # type: ignore[attr-defined]
        return labeler
    checked(user, role_known(user, labeler.project, vars(labeler)["role"]), Capability.LABEL)
    return labeler
