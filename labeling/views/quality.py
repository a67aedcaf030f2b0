"""Quality: how far people agree, what can be said of each of them, and who can be relied on."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from labeling.access import Capability, labeler_seen, own_labeler_seen, project_for
from labeling.models import Outcome, Project, ResolutionRule, Snapshot, SnapshotState
from labeling.pages import project_context
from labeling.selectors.agreement import project_agreement, snapshot_agreement
from labeling.selectors.anchoring import project_anchoring
from labeling.selectors.labelers import Figures, figures_of_one, labeler_rows
from labeling.selectors.own_statistics import LEAST, own_statistics
from labeling.selectors.reliability import newest_fit, people_of, reliability_state
from labeling.services.reliability import fit_start
from labeling.snapshots import SnapshotError
from webapp.ui.charts import Interval, Reference, bar_chart, day_label, interval_chart
from webapp.users.models import User


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
    """How far people agree: live, or as a snapshot holds it (`?snapshot=3`). What is said of each person is live."""
    project = project_for(request.user, slug, Capability.VIEW)
    snapshot = _snapshot_asked_for(request, project)
    problem = ""
    figures = None
    try:
        figures = snapshot_agreement(snapshot) if snapshot else project_agreement(project)
    except SnapshotError as error:
        problem = str(error)
    ready = Snapshot.objects.filter(project=project, state=SnapshotState.READY)
    context = {
        "figures": figures,
        "problem": problem,
        "snapshot": snapshot,
        "snapshots": ready.order_by("-number")[:50],
        "labelers": labeler_rows(project),
        "anchoring": project_anchoring(project),
        "state": reliability_state(project),
        "rules": ResolutionRule.choices,
    }
    return render(
        request, "labeling/quality/page.html", project_context(request, project, "agreement") | context
    )


def _snapshot_asked_for(request: HttpRequest, project: Project) -> Snapshot | None:
    number = request.GET.get("snapshot", "")
    if not (number.isascii() and number.isdigit() and len(number) < 9):
        return None
    return Snapshot.objects.filter(project=project, number=int(number)).select_related("project").first()


@login_required
@require_safe
def labeler(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    """One person's figures, and how they went over time."""
    found = labeler_seen(request.user, slug, uid)
    figures = figures_of_one(found)
    fit = newest_fit(found.project)
    people = people_of(fit) if fit else []
    context = {
        "labeler": found,
        "figures": figures,
        "chart": _windows_chart(figures),
        "person": next((person for person in people if person.labeler.pk == found.pk), None),
        "outcomes": [Outcome(value).label for value in ("a", "b", "tie", "both_bad")],
    }
    return render(
        request,
        "labeling/quality/labeler.html",
        project_context(request, found.project, "agreement") | context,
    )


def _windows_chart(figures: Figures) -> str:
    """Agreement with others by windows of fifty votes; "" where there are fewer than two of them."""
    points = [
        Interval(
            day_label(timezone.localtime(at)),
            window.agreement.value,
            window.agreement.low,
            window.agreement.high,
        )
        for at, window in figures.windows
        if window.agreement and window.agreement.low is not None and window.agreement.high is not None
    ]
    if len(points) < 2 or figures.others is None:
        return ""
    overall = [Reference(_("all votes"), figures.others.value)]
    return interval_chart(points, overall, title=_("Agreement with others, fifty votes at a time"))


@login_required
@require_safe
def mine(request: HttpRequest, slug: str) -> HttpResponse:
    """What a person is told of the own work."""
    project, found = own_labeler_seen(request.user, slug)
    statistics = own_statistics(found)
    bars = [(day_label(day), float(count)) for day, count in statistics.days]
    context = {
        "least": LEAST,
        "statistics": statistics,
        "chart": bar_chart(bars, title=_("Labels a day")),
    }
    return render(request, "labeling/quality/mine.html", project_context(request, project, "mine") | context)


@login_required
@require_POST
def fit(request: HttpRequest, slug: str) -> HttpResponse:
    """Fit reliabilities now; with `rule`, settle the comparisons by it from now on."""
    assert isinstance(request.user, User)
    project = project_for(request.user, slug, Capability.MANAGE)
    try:
        fit_start(project=project, actor=request.user, rule=request.POST.get("rule", ""))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(
            request, _("Reliabilities are being fitted. This page shows them when they are there.")
        )
    return redirect("labeling:agreement", slug)
