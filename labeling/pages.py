"""What every page of a project needs: who is looking, what they may do, which tab is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from labeling.access import Capability, role_of
from labeling.models import Comparison, ComparisonState, Project


@dataclass(frozen=True)
class Tab:
    key: str
    name: str | Promise
    url: str


# key, name, URL name, capability. Apps are named as strings: labeling does not import what stands above it.
TABS: tuple[tuple[str, str | Promise, str, Capability], ...] = (
    ("overview", _("Overview"), "labeling:project", Capability.VIEW),
    ("label", _("Label"), "labeling:label", Capability.LABEL),
    ("items", _("Comparisons"), "labeling:comparison-list", Capability.VIEW),
    ("review", _("Review"), "labeling:review", Capability.VIEW),
    ("agreement", _("Quality"), "labeling:agreement", Capability.VIEW),
    ("judges", _("Judges"), "judging:judge-list", Capability.VIEW),
    ("models", _("Reward models"), "workers:model-list", Capability.VIEW),
    ("snapshots", _("Snapshots and export"), "labeling:snapshot-list", Capability.VIEW),
    ("imports", _("Import"), "labeling:import-list", Capability.MANAGE),
    ("work", _("Work"), "labeling:work", Capability.MANAGE),
    ("people", _("People"), "labeling:members", Capability.MANAGE),
    ("settings", _("Settings"), "labeling:project-settings", Capability.MANAGE),
)


def project_tabs(project: Project, role: str | None) -> list[Tab]:
    tabs = [
        Tab(key, name, reverse(url_name, args=[project.slug]))
        for key, name, url_name, capability in TABS
        if role in capability.value
    ]
    if role in Capability.VIEW.value:
        tabs.append(Tab("jobs", _("Jobs"), f"{reverse('jobs:list')}?project={project.slug}"))
    return tabs


def project_context(request: HttpRequest, project: Project, section: str) -> dict[str, Any]:
    """Context of a page that extends `project_base.html`."""
    role = role_of(request.user, project)
    return {
        "project": project,
        "role": role,
        "section": section,
        "may_view": role in Capability.VIEW.value,
        "may_label": role in Capability.LABEL.value,
        "may_manage": role in Capability.MANAGE.value,
        "tabs": project_tabs(project, role),
        "has_open": lambda: has_open(project),  # asked by the pages that offer to label
    }


def has_open(project: Project) -> bool:
    """Whether a comparison waits for a label."""
    return Comparison.objects.filter(project=project, state=ComparisonState.OPEN).exists()
