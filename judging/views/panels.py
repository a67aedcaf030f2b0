"""Parts of other storeys' pages that judging fills."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from judging.selectors.panels import loop_line
from labeling.access import Capability, project_for


@login_required
@require_safe
def loop_panel(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.VIEW)
    return render(request, "judging/_loop.html", {"project": project, "line": loop_line(project)})
