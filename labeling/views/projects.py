"""Home, a project's overview, its settings."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling.access import Capability, may, project_for, projects_of
from labeling.forms import ProjectForm, ProjectSettingsForm
from labeling.pages import project_context
from labeling.scheme import SKIP_REASONS
from labeling.selectors.overview import home_rows, project_overview
from labeling.services.projects import project_create, project_update
from labeling.views.label_bars import aspect_bars, bar
from webapp.users.models import User


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    rows = home_rows(request.user, projects_of(request.user).order_by("name", "id"))
    may_start = request.user.is_staff or any(row.may_manage for row in rows)
    return render(request, "labeling/projects/home.html", {"rows": rows, "may_start": may_start})


@login_required
@require_http_methods(["GET", "POST"])
def project_new(request: HttpRequest) -> HttpResponse:
    """Anybody with an account who manages a project already, and staff, may start another one."""
    assert isinstance(request.user, User)
    if not (request.user.is_staff or projects_of(request.user, Capability.MANAGE).exists()):
        raise PermissionDenied(_("Only managers and operators start projects. Ask one of them."))
    form = ProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        project = project_create(created_by=request.user, **form.cleaned_data)
        messages.success(request, _("The project is there. Bring your prompts and responses."))
        return redirect("labeling:import-list", project.slug)
    return render(request, "labeling/projects/new.html", {"form": form})


@login_required
@require_safe
def project(request: HttpRequest, slug: str) -> HttpResponse:
    found = project_for(request.user, slug, Capability.ENTER)
    if not may(request.user, found, Capability.VIEW):
        return redirect("labeling:label", slug)
    context = project_context(request, found, "overview") | {"overview": project_overview(found)}
    template = "labeling/projects/_stages.html" if request.htmx else "labeling/projects/project.html"  # type: ignore[attr-defined]
    return render(request, template, context)


@login_required
@require_http_methods(["GET", "POST"])
def project_settings(request: HttpRequest, slug: str) -> HttpResponse:
    assert isinstance(request.user, User)
    found = project_for(request.user, slug, Capability.MANAGE)
    form = ProjectSettingsForm(request.POST or None, instance=found)
    if request.method == "POST" and form.is_valid():
        found.refresh_from_db()
        values = {name: form.cleaned_data[name] for name in [*form.Meta.fields, "scheme"]}
        project_update(project=found, actor=request.user, **values)
        messages.success(request, _("Saved. Open comparisons follow the new settings at once."))
        return redirect("labeling:project-settings", slug)
    return render(
        request,
        "labeling/projects/settings.html",
        project_context(request, found, "settings") | {"form": form} | _dock(form),
    )


@login_required
@require_POST
def scheme_preview(request: HttpRequest, slug: str) -> HttpResponse:
    """The dock of the label page for the scheme that the settings form holds; nothing is saved."""
    found = project_for(request.user, slug, Capability.MANAGE)
    form = ProjectSettingsForm(request.POST, instance=found)
    return render(request, "labeling/projects/_dock_preview.html", _dock(form))


def _dock(form: ProjectSettingsForm) -> dict[str, Any]:
    scheme, problems = form.previewed()
    return {
        "problems": problems,
        "scheme": scheme,
        "steps": bar(scheme.steps),
        "aspects": aspect_bars(scheme),
        "skip_reasons": SKIP_REASONS,
        "pair": {"draft": {}},
    }
