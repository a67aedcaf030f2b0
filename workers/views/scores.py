"""Downloading a reward model's scores."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from workers.access import model_for
from workers.score_files import scores_response


@login_required
@require_safe
def scores_download(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    return scores_response(model_for(request.user, slug, number))
