"""Snapshots of a project, by their number."""

from __future__ import annotations

from labeling.access.core import AnyUser, Capability, project_for, within
from labeling.models import Snapshot


def snapshot_for(user: AnyUser, slug: str, number: int, capability: Capability = Capability.VIEW) -> Snapshot:
    project = project_for(user, slug, capability)
    return within(Snapshot.objects.filter(project=project).select_related("project"), number=number)
