"""The ranking page: three to eight responses to one prompt, brought into an order.

Every action is a plain form post that comes back to the page; the page's script posts the same fields and asks for
JSON, so that a post that does not arrive leaves everything where it is.
"""

from __future__ import annotations

import uuid
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling.access import Capability, labeler_for, project_for, ranking_for
from labeling.models import RankingTask
from labeling.pages import project_context
from labeling.ranks import read_ranking_draft
from labeling.scheme import SKIP_REASONS, read_scheme
from labeling.selectors.label import labels_today, settled_counts
from labeling.selectors.ranking import LETTERS, last_ranking, ranking_shown
from labeling.services.allocation import LabelingError
from labeling.services.ranked import ranking_skip, ranking_submit, ranking_undo
from labeling.services.ranking import (
    PairsFirstError,
    ranking_draft_save,
    ranking_next,
    ranking_opened,
    ranking_renew,
)
from labeling.views.answering import refused
from labeling.views.label_form import read_key, wants_json
from webapp.users.models import User


def _own(request: HttpRequest, slug: str, uid: uuid.UUID) -> RankingTask:
    task = ranking_for(cast(User, request.user), uid)
    if task.project.slug != slug:
        raise Http404
    return task


@never_cache
@login_required
@require_GET
def rank_page(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.LABEL)
    labeler = labeler_for(cast(User, request.user), project)
    last = last_ranking(labeler)
    context = project_context(request, project, "label")
    try:
        task = ranking_next(labeler)
    except LabelingError as error:
        # The undo of the last ranking is here alone.
        if isinstance(error, PairsFirstError) and not (last and last.undo_s):
            return redirect("labeling:label", slug)
        task, context["refused"] = None, error
    if task is not None:
        ranking_opened(task)
        context["shown"] = ranking_shown(task)
    context |= {
        "labeler": labeler,
        "scheme": read_scheme(project.scheme),
        "skip_reasons": SKIP_REASONS,
        "last": last,
        "today": labels_today(labeler),
        "progress": settled_counts(project),
    }
    return render(request, "labeling/ranking/page.html", context)


def _read(post: QueryDict, count: int) -> dict[str, Any]:
    """The form's fields as `read_ranking` takes them."""
    return {
        "places": [post.get(f"place-{letter}", "") for letter in LETTERS[:count]],
        "rationale": post.get("rationale", ""),
        "duration_ms": post.get("duration_ms") or None,
    }


@login_required
@require_POST
def rank_submit(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    task = _own(request, slug, uid)
    data = _read(request.POST, len(task.order))
    try:
        ranking_submit(task=task, data=data, idempotency_key=read_key(request))
    except (LabelingError, ValidationError) as error:
        ranking_draft_save(task=task, draft=read_ranking_draft(data, len(task.order)))
        return refused(request, slug, error, page="labeling:rank")
    return _done(request, slug)


@login_required
@require_POST
def rank_skip(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    task = _own(request, slug, uid)
    reason = request.POST.get("skip_reason", "")
    try:
        ranking_skip(task=task, reason=reason, idempotency_key=read_key(request))
    except (LabelingError, ValidationError) as error:
        return refused(request, slug, error, page="labeling:rank")
    return _done(request, slug)


@login_required
@require_POST
def rank_undo(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    task = _own(request, slug, uid)
    try:
        ranking_undo(task=task, idempotency_key=read_key(request))
    except (LabelingError, ValidationError) as error:
        return refused(request, slug, error, page="labeling:rank")
    return _done(request, slug)


@login_required
@require_POST
def rank_draft(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    """Keep an unfinished ranking, and renew its leases; these alone with `renew`. `held` is false where they have gone
    back to the queue."""
    task = _own(request, slug, uid)
    if "renew" in request.POST:
        return JsonResponse({"held": ranking_renew(task)})
    count = len(task.order)
    kept = ranking_draft_save(task=task, draft=read_ranking_draft(_read(request.POST, count), count))
    return JsonResponse({"kept": kept, "held": ranking_renew(task)})


def _done(request: HttpRequest, slug: str) -> HttpResponse:
    return JsonResponse({"saved": True}) if wants_json(request) else redirect("labeling:rank", slug)
