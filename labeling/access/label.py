"""A labeler's own assignments."""

from __future__ import annotations

from uuid import UUID

from labeling.access.core import Capability, checked, within
from labeling.models import Assignment
from webapp.users.models import User


def assignment_for(user: User, uid: UUID) -> Assignment:
    """The person's own assignment; anybody else's is a 404."""
    queryset = Assignment.objects.filter(labeler__user=user).select_related(
        "labeler",
        "comparison__project",
        "comparison__prompt",
        "comparison__response_a",
        "comparison__response_b",
    )
    assignment = within(queryset, uid=uid)
    checked(user, assignment.comparison.project, Capability.LABEL)
    return assignment
