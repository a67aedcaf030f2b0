"""One deed on many items: asked for on the list, shown beforehand, then done."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from labeling.access import Capability, project_for
from labeling.items.filters import ItemFilter, ItemFilterError, filter_from_json, filter_from_text
from labeling.models import Project
from labeling.pages import project_context
from labeling.selectors.work import batch_rows, members_who_label
from labeling.services.bulk import bulk_preview, items_bulk, items_into_new_batch
from labeling.services.bulk_deeds import BulkAction, BulkError, Deed
from labeling.views.work import labelers_of
from labeling.views.work_forms import TargetForm, refuse
from webapp.jobs.models import Job
from webapp.users.models import User

JUDGE = "judge"  # no deed of ours: the judges' pages ask which judge


class BulkForm(forms.Form):
    """What to do, with which: `scope` "chosen" takes the numbers in `id`, "all" everything that the filter finds."""

    action = forms.ChoiceField(choices=[*BulkAction.choices, (JUDGE, gettext_lazy("Send to a judge"))])
    scope = forms.ChoiceField(choices=[("chosen", ""), ("all", "")], required=False)
    priority = forms.FloatField(required=False)
    more = forms.IntegerField(required=False)
    up_to = forms.IntegerField(required=False, min_value=0, max_value=2**63 - 1)

    def deed(self) -> Deed:
        """Raises BulkError."""
        action = BulkAction(self.cleaned_data["action"])
        values = {BulkAction.PRIORITY: "priority", BulkAction.PEOPLE: "more"}
        value = self.cleaned_data[values[action]] if action in values else 0.0
        if value is None:
            raise BulkError(_("Enter a number."))
        return Deed(action, value)


@login_required
@require_POST
def bulk(request: HttpRequest, slug: str) -> HttpResponse:
    """First what it would do; with `confirm`, it is done."""
    project = project_for(request.user, slug, Capability.MANAGE)
    form, wanted = BulkForm(request.POST), ItemFilter()
    try:
        wanted = filter_from_text(request.POST.get("filter", ""))
        if not form.is_valid():
            raise BulkError(_("Choose what to do."))
        if form.cleaned_data["scope"] == "chosen":
            wanted = _chosen(request)
        if form.cleaned_data["action"] == JUDGE:
            query = urlencode({"filter": wanted.to_text()})
            return HttpResponseRedirect(f"{reverse('judging:judge-list', args=[slug])}?{query}")
        return _carried_out(request, project, wanted, form)
    except (BulkError, ItemFilterError) as problem:
        messages.error(request, str(problem))
        return HttpResponseRedirect(f"{reverse('labeling:comparison-list', args=[slug])}?{wanted.to_query()}")


def _chosen(request: HttpRequest) -> ItemFilter:
    numbers = request.POST.getlist("id")
    if not numbers:
        raise BulkError(_("Tick the comparisons first, or take all that the filter finds."))
    return filter_from_json({"ids": ",".join(numbers)})


def _carried_out(request: HttpRequest, project: Project, wanted: ItemFilter, form: BulkForm) -> HttpResponse:
    deed, up_to = form.deed(), form.cleaned_data["up_to"]
    target = _target_form(request, project) if deed.action == BulkAction.BATCH else None
    if "confirm" not in request.POST or up_to is None:
        return _previewed(request, project, wanted, deed, target)
    actor = cast(User, request.user)
    if target is None:
        done = items_bulk(project=project, wanted=wanted, deed=deed, up_to=up_to, actor=actor)
        return _done(request, project, wanted, *done)
    if target.is_valid():
        try:
            return _done(request, project, wanted, *_into_batch(target, project, wanted, up_to, actor))
        except (BulkError, ValidationError) as error:
            refuse(target, error if isinstance(error, ValidationError) else ValidationError(str(error)))
    return _previewed(request, project, wanted, deed, target)


def _target_form(request: HttpRequest, project: Project) -> TargetForm:
    """Of the preview: which batch. Bound once it is sent."""
    data = request.POST if "confirm" in request.POST else None
    return TargetForm(data, members=members_who_label(project), batches=batch_rows(project))


def _into_batch(
    target: TargetForm, project: Project, wanted: ItemFilter, up_to: int, actor: User
) -> tuple[int, Job | None]:
    """Raises BulkError, ValidationError."""
    batch = target.target()
    if batch is not None:
        deed = Deed(BulkAction.BATCH, batch=batch.pk)
        return items_bulk(project=project, wanted=wanted, deed=deed, up_to=up_to, actor=actor)
    _batch, count, job = items_into_new_batch(
        project=project,
        wanted=wanted,
        up_to=up_to,
        name=target.cleaned_data["name"],
        people=labelers_of(target.chosen()),
        deadline=target.cleaned_data["deadline"],
        actor=actor,
    )
    return count, job


def _previewed(
    request: HttpRequest, project: Project, wanted: ItemFilter, deed: Deed, target: TargetForm | None
) -> HttpResponse:
    viewer = cast(User, request.user)
    context: dict[str, Any] = {
        "preview": bulk_preview(project=project, wanted=wanted, deed=deed, viewer=viewer),
        "deed": deed,
        "field": {BulkAction.PRIORITY: "priority", BulkAction.PEOPLE: "more"}.get(deed.action, ""),
        "form": target,
        "filter_json": wanted.to_text(),
        "back": wanted.to_query() if not wanted.ids else "",
    }
    page = project_context(request, project, "items") | context
    return render(request, "labeling/comparisons/bulk.html", page)


def _done(
    request: HttpRequest, project: Project, wanted: ItemFilter, count: int, job: Job | None
) -> HttpResponse:
    if job is not None:
        messages.success(request, _("The work has begun. This page follows it."))
        return redirect("jobs:detail", job.uid)
    messages.success(
        request,
        ngettext("%(count)d comparison was changed.", "%(count)d comparisons were changed.", count)
        % {"count": count},
    )
    query = "" if wanted.ids else wanted.to_query()
    return HttpResponseRedirect(f"{reverse('labeling:comparison-list', args=[project.slug])}?{query}")
