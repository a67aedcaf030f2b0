"""Comparisons: the list with its filters, one comparison with everybody's voice, and agreement."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from labeling.access import Capability, comparison_for, project_for, reveal_to
from labeling.models import ComparisonState, Project, ResolvedOutcome, Snapshot, SnapshotState
from labeling.pages import project_context
from labeling.selectors.agreement import project_agreement, snapshot_agreement
from labeling.selectors.comparisons import (
    ComparisonFilter,
    comparison_page,
    comparisons_found,
    filter_choices,
    person_voices,
)
from labeling.selectors.labelers import labeler_rows
from labeling.selectors.reveals import responses_in_hand
from labeling.snapshots import SnapshotError
from webapp.users.models import User


class FilterForm(forms.Form):
    """Filters of the list, for the page and for REST; nothing else can be filtered by."""

    q = forms.CharField(label=_("Text"), required=False, max_length=200)
    state = forms.ChoiceField(
        label=_("State"), required=False, choices=[("", _("any state")), *ComparisonState.choices]
    )
    outcome = forms.ChoiceField(
        label=_("Outcome"),
        required=False,
        choices=[("", _("any outcome")), *ResolvedOutcome.choices, ("none", _("not settled"))],
    )
    disputed = forms.BooleanField(label=_("people disagree"), required=False)
    language = forms.CharField(label=_("Language"), required=False, max_length=12)
    topic = forms.CharField(label=_("Topic"), required=False, max_length=120)
    before = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)
    after = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)

    def wanted(self) -> ComparisonFilter:
        data = {name: value for name, value in self.cleaned_data.items() if name not in ("before", "after")}
        return ComparisonFilter(**data)


@login_required
@require_safe
def comparison_list(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.VIEW)
    form = FilterForm(request.GET)
    wanted, place = ComparisonFilter(), {}
    if form.is_valid():
        wanted = form.wanted()
        place = {name: form.cleaned_data[name] for name in ("before", "after")}
    page = comparison_page(comparisons_found(project, wanted), **place)
    kept = {name: value for name, value in vars(wanted).items() if value}
    context = {
        "form": form,
        "wanted": wanted,
        "page": page,
        "choices": filter_choices(project),
        "closed": responses_in_hand(cast(User, request.user), project),
        "older": f"?{urlencode({**kept, 'before': page.older})}" if page.older else "",
        "newer": f"?{urlencode({**kept, 'after': page.newer})}" if page.newer else "",
    }
    template = "labeling/comparisons/_rows.html" if request.htmx else "labeling/comparisons/list.html"  # type: ignore[attr-defined]
    return render(request, template, project_context(request, project, "items") | context)


@login_required
@require_safe
def comparison_detail(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Everybody's voice; the two texts alone while this person is labeling one of them."""
    comparison = comparison_for(request.user, slug, pk)
    context: dict[str, Any] = {"comparison": comparison}
    try:
        reveal_to(cast(User, request.user), comparison)
    except PermissionDenied as closed:
        context["closed"] = closed
    else:
        context |= {
            "resolution": getattr(comparison, "resolution", None),
            "voices": person_voices(comparison),
        }
    return render(
        request,
        "labeling/comparisons/detail.html",
        project_context(request, comparison.project, "items") | context,
    )


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
