"""Items: the list of a project's comparisons, with its filters, and filters that are kept."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from labeling.access import Capability, project_for, reveals_record, saved_filter_for
from labeling.items.choices import LAG_SHOWN, filter_choices, not_searchable_yet
from labeling.items.filters import FilterForm, ItemFilter, ItemFilterError, filter_from_text, query_of_json
from labeling.items.finding import ItemPage, items_page
from labeling.models import Project, SavedFilter
from labeling.pages import project_context
from labeling.selectors.reveals import responses_in_hand
from labeling.selectors.saved_filters import saved_filters_seen
from labeling.services.bulk_deeds import BulkAction
from labeling.services.saved_filters import saved_filter_create, saved_filter_delete, saved_filter_update
from webapp.users.models import User

# Filters that are folded away until they are asked for.
FURTHER = (
    "agreement_min", "agreement_max", "judge", "verdict", "p_min", "p_max", "score_min", "score_max", "model",
    "labeler", "labeled_from", "labeled_to", "use",
)  # fmt: skip


class PlaceForm(forms.Form):
    """Where a page begins."""

    before = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    after = forms.IntegerField(required=False, min_value=0, max_value=2**63 - 1)

    def place(self) -> tuple[int | None, int | None]:
        if not self.is_valid():
            return None, None
        return self.cleaned_data["before"], self.cleaned_data["after"]


@login_required
@require_safe
def comparison_list(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.VIEW)
    user = cast(User, request.user)
    form = FilterForm(request.GET)
    wanted = form.wanted() if form.is_valid() else ItemFilter()
    closed = responses_in_hand(user, project)
    before, after = PlaceForm(request.GET).place()
    page = items_page(
        project, wanted, before=before, after=after, hidden=closed if wanted.tells else frozenset()
    )
    reveals_record(user, [row for row in page.rows if not {row.response_a_id, row.response_b_id} & closed])
    context = _list_context(project, user, form, wanted, page) | {"closed": closed}
    template = "labeling/comparisons/_rows.html" if request.htmx else "labeling/comparisons/list.html"  # type: ignore[attr-defined]
    return render(request, template, project_context(request, project, "items") | context)


def _list_context(
    project: Project, user: User, form: FilterForm, wanted: ItemFilter, page: ItemPage
) -> dict[str, Any]:
    kept = wanted.to_json()
    lag = not_searchable_yet(project)
    return {
        "form": form,
        "wanted": wanted,
        "page": page,
        "choices": filter_choices(project),
        "has_further": any(name in kept for name in FURTHER),
        "filter_json": wanted.to_text(),
        "filter_is_bad": not form.is_valid(),
        "saved": [
            {
                "row": row,
                "query": query_of_json(row.query),
                "is_on": row.query == kept,
                "is_own": row.owner_id == user.pk,
            }
            for row in saved_filters_seen(user, project)
        ],
        "actions": BulkAction.choices,
        "lag": min(lag, LAG_SHOWN),
        "lag_is_capped": lag > LAG_SHOWN,
        "older": f"?{query_of_json({**kept, 'before': page.older})}" if page.older else "",
        "newer": f"?{query_of_json({**kept, 'after': page.newer})}" if page.newer is not None else "",
    }


class SavedForm(forms.ModelForm):
    class Meta:
        model = SavedFilter
        fields = ("name", "is_shared")


def _back(slug: str, wanted: ItemFilter) -> HttpResponseRedirect:
    return HttpResponseRedirect(f"{reverse('labeling:comparison-list', args=[slug])}?{wanted.to_query()}")


@login_required
@require_POST
def saved_filter_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Keep the filter of the list under a name."""
    project = project_for(request.user, slug, Capability.VIEW)
    form, wanted = SavedForm(request.POST), ItemFilter()
    try:
        wanted = filter_from_text(request.POST.get("filter", ""))
        if not form.is_valid():
            raise ValidationError(_("Give the filter a name of at most 80 characters."))
        saved = saved_filter_create(
            project=project, owner=cast(User, request.user), wanted=wanted, **form.cleaned_data
        )
    except (ItemFilterError, ValidationError) as problem:
        messages.error(request, " ".join(getattr(problem, "messages", [str(problem)])))
    else:
        messages.success(request, _("The filter “%(name)s” is kept.") % {"name": saved.name})
    return _back(slug, wanted)


@login_required
@require_POST
def saved_filter_change(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Another name, shared or not, or away with it."""
    saved = saved_filter_for(request.user, slug, pk)
    if "delete" in request.POST:
        saved_filter_delete(saved=saved)
        messages.success(request, _("The filter “%(name)s” is deleted.") % {"name": saved.name})
        return redirect("labeling:comparison-list", slug)
    form = SavedForm(request.POST, instance=saved)
    try:
        if not form.is_valid():
            raise ValidationError(_("Give the filter a name of at most 80 characters."))
        saved_filter_update(saved=saved, **form.cleaned_data)
    except ValidationError as problem:
        messages.error(request, " ".join(problem.messages))
    return HttpResponseRedirect(
        f"{reverse('labeling:comparison-list', args=[slug])}?{query_of_json(saved.query)}"
    )
