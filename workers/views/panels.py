"""Parts of other storeys' pages that this app fills: the overview's boxes, and what the champion thinks."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from labeling.access import (
    Capability,
    comparison_reveal_for,
    may,
    project_for,
    review_comparison_for,
)
from workers.charts import accuracy_chart
from workers.selectors.ceiling import human_ceiling
from workers.selectors.models import champion_of, version_rows
from workers.selectors.panels import attention, champion_line, newest_run
from workers.selectors.scores import comparison_opinions, lean, version_opinions


@login_required
@require_safe
def loop_panel(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.VIEW)
    context = {"project": project, "line": newest_run(project), "champion": champion_line(project)}
    return render(request, "workers/panels/loop.html", context)


@login_required
@require_safe
def champion_panel(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.VIEW)
    context = {"project": project, "champion": champion_line(project)}
    return render(request, "workers/panels/champion.html", context)


@login_required
@require_safe
def accuracy_panel(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.VIEW)
    rows, ceiling = version_rows(project, limit=12), human_ceiling(project)
    context = {
        "project": project,
        "rows": rows,
        "chart": accuracy_chart(rows, ceiling),
        "may_manage": may(request.user, project, Capability.MANAGE),
    }
    return render(request, "workers/panels/accuracy.html", context)


@login_required
@require_safe
def attention_panel(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.VIEW)
    context = {"project": project, "attention": attention(project)}
    return render(request, "workers/panels/attention.html", context)


@login_required
@require_safe
@never_cache
def comparison_panel(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The champion's row for one comparison. `?left=b` mirrors it for a screen that shows response b on the
    left.

    A labeler who has not voted on it gets a 404 (invariant 3).
    """
    comparison = comparison_reveal_for(request.user, slug, pk)
    champion = champion_of(comparison.project)
    opinion = comparison_opinions(champion, [comparison.pk]).get(comparison.pk) if champion else None
    p = None
    if opinion is not None:
        p = opinion.p_a if request.GET.get("left", "a") != "b" else 1.0 - opinion.p_a
    context = {
        "champion": champion,
        "opinion": opinion,
        "p": p,
        "outcome": lean(p) if p is not None else "",
    }
    return render(request, "workers/panels/comparison.html", context)


@login_required
@require_safe
@never_cache
def history_panel(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """What every version said of one comparison. 403 while the person labels one of its responses."""
    comparison = review_comparison_for(request.user, slug, pk, Capability.VIEW)
    context = {"project": comparison.project, "rows": version_opinions(comparison)}
    return render(request, "workers/panels/history.html", context)
