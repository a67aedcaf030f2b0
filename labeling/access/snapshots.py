"""Snapshots of a project, by their number, and two of them together."""

from __future__ import annotations

from django.db.models import Q
from django.http import Http404
from django.utils.translation import gettext_lazy as _

from labeling.access.core import AnyUser, Capability, project_for, within
from labeling.models import Snapshot


def snapshot_for(user: AnyUser, slug: str, number: int, capability: Capability = Capability.VIEW) -> Snapshot:
    project = project_for(user, slug, capability)
    return within(Snapshot.objects.filter(project=project).select_related("project"), number=number)


def snapshot_pair_for(
    user: AnyUser, slug: str, number: int, other: int, capability: Capability = Capability.VIEW
) -> tuple[Snapshot, Snapshot]:
    """Two snapshots of one project, the older one first, whichever of the numbers is given first."""
    project = project_for(user, slug, capability)
    wanted = Snapshot.objects.filter(Q(number=number) | Q(number=other), project=project)
    found = list(wanted.select_related("project").order_by("number"))
    if len(found) != 2:
        raise Http404(_("There is no such thing in this project."))
    return found[0], found[1]
