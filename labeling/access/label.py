"""A labeler's own assignments, and the person as a labeler."""

from __future__ import annotations

from uuid import UUID

from labeling.access.core import Capability, checked, own_role, project_for, role_known, within
from labeling.access.members import labeler_for
from labeling.models import Assignment, Labeler
from webapp.users.models import User


def assignment_for(user: User, uid: UUID) -> Assignment:
    """The person's own assignment; anybody else's is a 404. One query."""
    queryset = (
        Assignment.objects.filter(labeler__user=user)
        .select_related(
            "labeler__user",
            "comparison__project",
            "comparison__prompt",
            "comparison__response_a",
            "comparison__response_b",
        )
        .annotate(role=own_role(user, "comparison__project"))
    )
    assignment = within(queryset, uid=uid)
    project = role_known(user, assignment.comparison.project, vars(assignment)["role"])
    checked(user, project, Capability.LABEL)
    return assignment


def own_labeler(user: User, slug: str) -> Labeler:
    """The person as a labeler of the project with this slug, made at first use; afterwards one query for both.

    Raises Http404 or PermissionDenied.
    """
    rows = Labeler.objects.filter(user=user, project__slug=slug).select_related("project")
    labeler = rows.annotate(role=own_role(user, "project")).first()
    if labeler is None:
        return labeler_for(user, project_for(user, slug, Capability.LABEL))
    checked(user, role_known(user, labeler.project, labeler.role), Capability.LABEL)
    return labeler
