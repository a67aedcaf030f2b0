"""Rewriting one of the two responses of a pair, and taking that back."""

from __future__ import annotations

import uuid
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from labeling.access import assignment_for
from labeling.models import Assignment
from labeling.services.allocation import LabelingError
from labeling.services.rewriting import rewrite_draft_save, rewrite_submit, rewrite_withdraw
from labeling.views.label_form import read_key, wants_json
from webapp.users.models import User


def _own(request: HttpRequest, slug: str, uid: uuid.UUID) -> Assignment:
    assignment = assignment_for(cast(User, request.user), uid)
    if assignment.comparison.project.slug != slug:
        raise Http404
    return assignment


@login_required
@require_POST
def label_rewrite(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    assignment, side = _own(request, slug, uid), request.POST.get("side", "")
    try:
        rewrite_submit(
            assignment=assignment,
            side=side,
            text=request.POST.get("text", ""),
            idempotency_key=read_key(request),
        )
    except (LabelingError, ValidationError) as error:
        return _refused(request, slug, error)
    return _said(request, slug, _("Your rewrite is kept as a better response."))


@login_required
@require_POST
def label_rewrite_undo(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    assignment, side = _own(request, slug, uid), request.POST.get("side", "")
    try:
        rewrite_withdraw(assignment=assignment, side=side, idempotency_key=read_key(request))
    except (LabelingError, ValidationError) as error:
        return _refused(request, slug, error)
    return _said(request, slug, _("Your rewrite was taken back."))


@login_required
@require_POST
def label_rewrite_draft(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    """Keep an unfinished rewrite."""
    assignment, side = _own(request, slug, uid), request.POST.get("side", "")
    try:
        kept = rewrite_draft_save(assignment=assignment, side=side, text=request.POST.get("text", ""))
    except ValidationError as error:
        return _refused(request, slug, error)
    return JsonResponse({"kept": kept})


def _said(request: HttpRequest, slug: str, text: str | Promise) -> HttpResponse:
    if wants_json(request):
        return JsonResponse({"message": text})
    messages.success(request, str(text))
    return redirect("labeling:label", slug)


def _refused(request: HttpRequest, slug: str, error: LabelingError | ValidationError) -> HttpResponse:
    if isinstance(error, ValidationError):
        code, status, text = "invalid", 400, " ".join(error.messages)
    else:
        code, status, text = error.code, 409, str(error.message)
    if wants_json(request):
        return JsonResponse({"error": {"code": code, "message": text}}, status=status)
    messages.error(request, text)
    return redirect("labeling:label", slug)
