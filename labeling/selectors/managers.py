"""Who manages a project, for the ground storey, which knows only its number."""

from __future__ import annotations

from labeling.models import Membership, Project, Role
from webapp.users.models import User


def project_managers(project_id: int) -> tuple[str, list[User]]:
    """The project's address and the people who manage it; nothing and nobody where there is none."""
    slug = Project.objects.filter(pk=project_id).values_list("slug", flat=True).first()
    rows = Membership.objects.filter(project_id=project_id, role=Role.MANAGER).select_related("user")
    return slug or "", [row.user for row in rows.order_by("pk")]
