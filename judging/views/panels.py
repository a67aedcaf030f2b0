"""Parts of other storeys' pages that judging fills."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from judging.selectors.panels import loop_line
from judging.selectors.verdicts import paired_verdicts
from labeling.access import Capability, project_for, review_comparison_for


@login_required
@require_safe
def loop_panel(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.VIEW)
    return render(request, "judging/_loop.html", {"project": project, "line": loop_line(project)})


@login_required
@require_safe
@never_cache
def history_panel(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """What every version of every judge said of one comparison. 403 while the person labels one of its responses."""
    comparison = review_comparison_for(request.user, slug, pk, Capability.VIEW)
    rows = paired_verdicts([comparison])[comparison.pk]
    return render(request, "judging/_history.html", {"project": comparison.project, "rows": rows})
