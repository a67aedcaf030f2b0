"""Imports of a project, for those who manage it."""

from __future__ import annotations

from uuid import UUID

from labeling.access.core import AnyUser, Capability, project_for, within
from labeling.models import Import


def import_for(user: AnyUser, slug: str, uid: UUID) -> Import:
    project = project_for(user, slug, Capability.MANAGE)
    rows = Import.objects.filter(project=project).select_related("project")
    return within(rows.defer("sample"), uid=uid)  # large, and for one page alone
