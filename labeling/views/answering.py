"""What the pages share that take answers: whose they are, and how one is refused."""

from __future__ import annotations

import uuid
from typing import cast

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect

from labeling.access import assignment_for
from labeling.models import Assignment
from labeling.services.allocation import LabelingError
from labeling.views.label_form import wants_json
from webapp.users.models import User


def own_assignment(request: HttpRequest, slug: str, uid: uuid.UUID) -> Assignment:
    """The person's own, in this project. Raises Http404."""
    assignment = assignment_for(cast(User, request.user), uid)
    if assignment.comparison.project.slug != slug:
        raise Http404
    return assignment


def refused(
    request: HttpRequest, slug: str, error: LabelingError | ValidationError, *, page: str = "labeling:label"
) -> HttpResponse:
    """Say what is wrong, on `page` for who has no script. What was entered is kept there as the draft."""
    if isinstance(error, ValidationError):
        code, status, text = "invalid", 400, " ".join(error.messages)
    else:
        code, status, text = error.code, 409, str(error.message)
    if wants_json(request):
        return JsonResponse({"error": {"code": code, "message": text}}, status=status)
    messages.error(request, text)
    return redirect(page, slug)
