"""One comparison with everybody's voice and its whole history."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from labeling.access import Capability, comparison_for, may, reveal_to
from labeling.pages import project_context
from labeling.selectors.comparisons import person_voices
from labeling.selectors.history import comments_of, history_of
from labeling.selectors.review_rows import ComparisonVoices
from webapp.users.models import User


@login_required
@require_safe
def comparison_detail(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Everybody's voice, comments and history; the two texts alone while this person is labeling one of them."""
    comparison = comparison_for(request.user, slug, pk)
    context: dict[str, Any] = {"comparison": comparison, "back": "page"}
    try:
        reveal_to(cast(User, request.user), comparison)
    except PermissionDenied as closed:
        context["closed"] = closed
    else:
        context |= {
            "resolution": getattr(comparison, "resolution", None),
            # What judges and models say comes with their own storeys' panels.
            "voices": ComparisonVoices(person_voices(comparison), []),
            "events": history_of(comparison),
            "comments": comments_of(comparison),
            "may_review": may(request.user, comparison.project, Capability.REVIEW),
            "me": request.user.pk,
        }
    return render(
        request,
        "labeling/comparisons/detail.html",
        project_context(request, comparison.project, "items") | context,
    )
