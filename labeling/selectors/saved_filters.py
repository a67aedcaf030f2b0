"""Saved filters of a project, as one person sees them."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from labeling.models import Project, SavedFilter
from webapp.users.models import User


def saved_filters_seen(user: User, project: Project) -> QuerySet[SavedFilter]:
    """The person's own, and what others share, by name."""
    rows = SavedFilter.objects.filter(Q(owner=user) | Q(is_shared=True), project=project)
    return rows.select_related("owner").order_by("name", "pk")
