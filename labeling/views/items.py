"""Items: the list of a project's comparisons, with its filters."""

from __future__ import annotations

from typing import cast

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from labeling.access import Capability, project_for
from labeling.models import ComparisonState, ResolvedOutcome
from labeling.pages import project_context
from labeling.selectors.comparisons import (
    ComparisonFilter,
    comparison_page,
    comparisons_found,
    filter_choices,
)
from labeling.selectors.reveals import responses_in_hand
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
