"""Settings of allocation: gold at a set rate, the qualification set. Managers alone."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from labeling.access import Capability, project_for
from labeling.models import ComparisonUse
from labeling.pages import project_context
from labeling.scheme import read_scheme
from labeling.selectors.work import check_counts, check_counts_forget
from labeling.services.checks import NO_GOLD, allocation_update, checks_add, checks_release
from labeling.views.work_forms import AllocationForm, ChecksForm, refuse
from webapp.users.models import User


@login_required
@require_http_methods(["GET", "POST"])
def allocation_settings(request: HttpRequest, slug: str) -> HttpResponse:
    assert isinstance(request.user, User)
    project = project_for(request.user, slug, Capability.MANAGE)
    form = AllocationForm(request.POST or None, instance=project)
    if request.method == "POST" and form.is_valid():
        values = {name: form.cleaned_data[name] for name in form.Meta.fields}
        project.refresh_from_db()
        try:
            allocation_update(project=project, actor=request.user, **values)
        except ValidationError as error:
            refuse(form, error)
        else:
            messages.success(request, _("Saved. The next draw follows the new settings."))
            return redirect("labeling:allocation-settings", slug)
    context = project_context(request, project, "settings")
    context |= {"form": form, "checks": check_counts(project), "more": ChecksForm()}
    if read_scheme(project.scheme).screen == "ranking":
        context["no_gold"] = NO_GOLD
    return render(request, "labeling/work/allocation.html", context)


@login_required
@require_POST
def checks_change(request: HttpRequest, slug: str) -> HttpResponse:
    """More gold or qualification comparisons; with `release`, all of one use back to work."""
    assert isinstance(request.user, User)
    project = project_for(request.user, slug, Capability.MANAGE)
    form = ChecksForm(request.POST)
    release = request.POST.get("release", "")
    try:
        if release in (ComparisonUse.GOLD, ComparisonUse.QUALIFICATION):
            number = checks_release(project=project, use=ComparisonUse(release), actor=request.user)
        elif form.is_valid():
            use, count = ComparisonUse(form.cleaned_data["use"]), form.cleaned_data["count"]
            number = checks_add(project=project, use=use, count=count, actor=request.user)
        else:
            raise ValidationError([text for texts in form.errors.values() for text in texts])
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        check_counts_forget(project)
        messages.success(request, _("%(number)d comparisons were changed.") % {"number": number})
    return redirect("labeling:allocation-settings", slug)
