"""Batches, for managers."""

from __future__ import annotations

from uuid import UUID

from labeling.access.core import AnyUser, Capability, project_for, within
from labeling.models import Batch


def batch_for(user: AnyUser, slug: str, uid: UUID) -> Batch:
    project = project_for(user, slug, Capability.MANAGE)
    return within(Batch.objects.filter(project=project).select_related("project"), uid=uid)
