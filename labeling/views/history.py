"""One comparison with everybody's voice."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from labeling.access import comparison_for, reveal_to
from labeling.pages import project_context
from labeling.selectors.comparisons import person_voices
from labeling.selectors.rewrites import rewrites_of
from webapp.users.models import User


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
            "rewrites": rewrites_of(comparison),
        }
    return render(
        request,
        "labeling/comparisons/detail.html",
        project_context(request, comparison.project, "items") | context,
    )
