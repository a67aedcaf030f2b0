"""The people of a project."""

from __future__ import annotations

from labeling.access.core import AnyUser, Capability, project_for, within
from labeling.models import Labeler, LabelerKind, Membership, Project
from webapp.users.models import User


def membership_for(user: AnyUser, slug: str, pk: int) -> Membership:
    """A membership to manage."""
    project = project_for(user, slug, Capability.MANAGE)
    return within(Membership.objects.filter(project=project).select_related("project", "user"), pk=pk)


def labeler_for(user: User, project: Project) -> Labeler:
    """The person as a labeler of this project; made at first use. Call it after a LABEL check."""
    labeler, _created = Labeler.objects.get_or_create(
        project=project, user=user, defaults={"name": str(user), "kind": LabelerKind.MEMBER}
    )
    return labeler
