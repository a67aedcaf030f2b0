"""Quality: how far people agree."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from labeling.access import Capability, project_for
from labeling.models import Project, Snapshot, SnapshotState
from labeling.pages import project_context
from labeling.selectors.agreement import project_agreement, snapshot_agreement
from labeling.selectors.labelers import labeler_rows
from labeling.snapshots import SnapshotError


@login_required
@require_safe
def agreement_panel(request: HttpRequest, slug: str) -> HttpResponse:
    """The project's agreement in a line, for its card on the home page, which does not wait for it."""
    project = project_for(request.user, slug, Capability.VIEW)
    context = {"project": project, "figures": project_agreement(project)}
    return render(request, "labeling/comparisons/_agreement_line.html", context)


@login_required
@require_safe
def agreement(request: HttpRequest, slug: str) -> HttpResponse:
    """How far people agree: live, or as a snapshot holds it (`?snapshot=3`)."""
    project = project_for(request.user, slug, Capability.VIEW)
    snapshot = _snapshot_asked_for(request, project)
    problem = ""
    figures = None
    try:
        figures = snapshot_agreement(snapshot) if snapshot else project_agreement(project)
    except SnapshotError as error:
        problem = str(error)
    context = {
        "figures": figures,
        "problem": problem,
        "snapshot": snapshot,
        "snapshots": Snapshot.objects.filter(project=project, state=SnapshotState.READY).order_by("-number")[
            :50
        ],
        "labelers": labeler_rows(project),
    }
    return render(
        request,
        "labeling/comparisons/agreement.html",
        project_context(request, project, "agreement") | context,
    )


def _snapshot_asked_for(request: HttpRequest, project: Project) -> Snapshot | None:
    number = request.GET.get("snapshot", "")
    if not (number.isascii() and number.isdigit() and len(number) < 9):
        return None
    return Snapshot.objects.filter(project=project, number=int(number)).select_related("project").first()
