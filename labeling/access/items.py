"""Saved filters, for those who may change them."""

from __future__ import annotations

from typing import cast

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext_lazy as _

from labeling.access.core import AnyUser, Capability, may, project_for, within
from labeling.models import SavedFilter
from labeling.selectors.saved_filters import saved_filters_seen
from webapp.users.models import User


def saved_filter_for(user: AnyUser, slug: str, pk: int) -> SavedFilter:
    """A filter that the person may change: an own one, or, for managers, a shared one. Others' own are a 404."""
    project = project_for(user, slug, Capability.VIEW)
    found = within(saved_filters_seen(cast(User, user), project), pk=pk)
    if found.owner != user and not may(user, project, Capability.MANAGE):
        raise PermissionDenied(_("Only its owner or a manager may change a shared filter."))
    return found
