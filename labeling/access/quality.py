"""Labelers and what is known of them: of everybody for those who may VIEW, of themselves for those who LABEL."""

from __future__ import annotations

from uuid import UUID

from labeling.access.core import AnyUser, Capability, project_for, within
from labeling.models import Labeler, Project


def labeler_seen(user: AnyUser, slug: str, uid: UUID) -> Labeler:
    """A labeler of a project that the person may view."""
    project = project_for(user, slug, Capability.VIEW)
    return within(Labeler.objects.filter(project=project).select_related("project"), uid=uid)


def own_labeler_seen(user: AnyUser, slug: str) -> tuple[Project, Labeler | None]:
    """The project, and the person as a labeler of it; None before the first comparison."""
    project = project_for(user, slug, Capability.LABEL)
    return project, Labeler.objects.filter(project=project, user=user.pk).select_related("project").first()
