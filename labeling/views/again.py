"""Looking again at an own answer, because a reviewer asks for it."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from labeling.access import again_for
from labeling.pages import project_context
from labeling.scheme import read_scheme
from labeling.selectors.label import answer_of, pair_of
from labeling.views.label_bars import aspect_bars, bar
from webapp.users.models import User


@login_required
@require_safe
@never_cache
def label_again(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    """The two texts, the reviewer's note, the answer that stands, and the form that changes it."""
    assignment, asked = again_for(cast(User, request.user), slug, uid)
    project = assignment.comparison.project
    last, scheme = answer_of(assignment), read_scheme(project.scheme)
    context = {
        "asked": asked,
        "last": last,
        "pair": last.pair if last is not None else pair_of(assignment),
        "scheme": scheme,
        "steps": bar(scheme.steps),
        "aspects": aspect_bars(scheme),
    }
    return render(request, "labeling/review/again.html", project_context(request, project, "label") | context)
