"""Rewriting one of the two responses of a pair, and taking that back."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from labeling.services.allocation import LabelingError
from labeling.services.rewriting import rewrite_draft_save, rewrite_submit, rewrite_withdraw
from labeling.views.answering import own_assignment, refused
from labeling.views.label_form import read_key, wants_json


@login_required
@require_POST
def label_rewrite(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    assignment, side = own_assignment(request, slug, uid), request.POST.get("side", "")
    try:
        rewrite_submit(
            assignment=assignment,
            side=side,
            text=request.POST.get("text", ""),
            idempotency_key=read_key(request),
        )
    except (LabelingError, ValidationError) as error:
        return refused(request, slug, error)
    return _said(request, slug, _("Your rewrite is kept as a better response."))


@login_required
@require_POST
def label_rewrite_undo(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    assignment, side = own_assignment(request, slug, uid), request.POST.get("side", "")
    try:
        rewrite_withdraw(assignment=assignment, side=side, idempotency_key=read_key(request))
    except (LabelingError, ValidationError) as error:
        return refused(request, slug, error)
    return _said(request, slug, _("Your rewrite was taken back."))


@login_required
@require_POST
def label_rewrite_draft(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    """Keep an unfinished rewrite."""
    assignment, side = own_assignment(request, slug, uid), request.POST.get("side", "")
    try:
        kept = rewrite_draft_save(assignment=assignment, side=side, text=request.POST.get("text", ""))
    except ValidationError as error:
        return refused(request, slug, error)
    return JsonResponse({"kept": kept})


def _said(request: HttpRequest, slug: str, text: str | Promise) -> HttpResponse:
    if wants_json(request):
        return JsonResponse({"message": text})
    messages.success(request, str(text))
    return redirect("labeling:label", slug)
