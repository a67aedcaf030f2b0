"""The label page: a pair of responses, the scheme's bar, and what the person said last.

Every action is a plain form post that comes back to the page; the page's script sends the same fields and
asks for JSON, whose parts of HTML are rendered from the same partials.
"""

from __future__ import annotations

import uuid
from typing import Any, cast

import orjson
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling.access import Capability, assignment_for, own_labeler, project_for, role_of
from labeling.models import Assignment, Labeler, Project
from labeling.pages import project_context
from labeling.scheme import SKIP_REASONS, LabelScheme, read_scheme
from labeling.selectors.label import (
    answer_of,
    labels_today,
    last_answer,
    pair_of,
    settled_counts,
    why_nothing,
)
from labeling.services.allocation import LabelingError, PausedError, lease_next, lease_renew
from labeling.services.preferences import draft_save, preference_submit, preference_undo
from labeling.views.answering import own_assignment, refused
from labeling.views.label_bars import aspect_bars, bar
from labeling.views.label_form import read_answer, read_draft, read_key, wants_json
from webapp.users.models import User


def _person(request: HttpRequest) -> User:
    return cast(User, request.user)


@never_cache
@login_required
@require_GET
def label_page(request: HttpRequest, slug: str) -> HttpResponse:
    labeler = own_labeler(_person(request), slug)
    project = labeler.project
    context = project_context(request, project, "label") | _common(project)
    try:
        leases = lease_next(labeler, is_short=vars(labeler)["held"] < 2)
    except PausedError as error:
        leases, context["paused"] = [], error
    nothing = None if leases or "paused" in context else why_nothing(labeler)
    if nothing and nothing.kind != "qualified_wait" and context["scheme"].screen == "ranking":
        return redirect("labeling:rank", slug)  # no pair of the qualification, of a batch or of gold is left
    if leases:
        _mark_opened(leases[0])
    context |= {
        "labeler": labeler,
        "pairs": [pair_of(lease) for lease in leases],
        "nothing": nothing,
        "last": last_answer(labeler),
        "with_texts": True,
        "today": labels_today(labeler),
        "progress": settled_counts(project),
    }
    return render(request, "labeling/label/page.html", context)


@login_required
@require_POST
def label_submit(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    return _answered(request, slug, uid, is_change=False)


@login_required
@require_POST
def label_change(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    return _answered(request, slug, uid, is_change=True)


def _answered(request: HttpRequest, slug: str, uid: uuid.UUID, *, is_change: bool) -> HttpResponse:
    assignment = own_assignment(request, slug, uid)
    data = read_answer(request.POST)
    try:
        preference_submit(
            assignment=assignment, data=data, idempotency_key=read_key(request), is_change=is_change
        )
    except (LabelingError, ValidationError) as error:
        draft_save(
            assignment=assignment, draft=read_draft(data, read_scheme(assignment.comparison.project.scheme))
        )
        return refused(request, slug, error)
    return _next(request, assignment, is_change=is_change)


@login_required
@require_POST
def label_undo(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    assignment = own_assignment(request, slug, uid)
    try:
        current = preference_undo(assignment=assignment, idempotency_key=read_key(request))
    except (LabelingError, ValidationError) as error:
        return refused(request, slug, error)
    if not wants_json(request):
        return redirect("labeling:label", slug)
    current.comparison = assignment.comparison
    pair = _pair_html(request, current, assignment.comparison.project)
    return JsonResponse({"pair": pair, "today": labels_today(assignment.labeler)})


@login_required
@require_POST
def label_draft(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    assignment = own_assignment(request, slug, uid)
    scheme = read_scheme(assignment.comparison.project.scheme)
    kept = draft_save(assignment=assignment, draft=read_draft(read_answer(request.POST), scheme))
    return JsonResponse({"kept": kept})


@login_required
@require_POST
def label_heartbeat(request: HttpRequest, slug: str) -> HttpResponse:
    """Renew the leases that the page holds, and note when one is first shown. Says which were lost."""
    project = project_for(request.user, slug, Capability.LABEL)
    held = request.POST.getlist("uid")[:4]
    lost = []
    for text in held:
        try:
            assignment = assignment_for(_person(request), uuid.UUID(text))
        except ValueError:
            continue
        if assignment.comparison.project_id == project.pk and not lease_renew(assignment):
            lost.append(text)
        if text == request.POST.get("shown"):
            _mark_opened(assignment)
    return JsonResponse({"lost": lost})


def _mark_opened(assignment: Assignment) -> None:
    Assignment.objects.filter(pk=assignment.pk, opened_at=None).update(opened_at=timezone.now())


def _common(project: Project) -> dict[str, Any]:
    """What the pair, the dock and the last answer need, on the page and in fragments alike."""
    scheme = read_scheme(project.scheme)
    return {
        "project": project,
        "scheme": scheme,
        "rules": _rules(scheme),
        "steps": bar(scheme.steps),
        "aspects": aspect_bars(scheme),
        "skip_reasons": SKIP_REASONS,
    }


def _rules(scheme: LabelScheme) -> str:
    """What of the scheme the page's script needs to know when it must ask why, as JSON."""
    return orjson.dumps(
        {
            "steps": scheme.steps,
            "aspects": scheme.aspect_steps(),
            "rationale": scheme.rationale,
            "reasons": scheme.reasons_rule,
            "when": scheme.ask_when,
        }
    ).decode()


def _pair_html(request: HttpRequest, lease: Assignment, project: Project) -> dict[str, str]:
    context = _common(project) | {"pair": pair_of(lease)}
    html = render_to_string("labeling/label/_pair.html", context, request=request)
    return {"uid": str(lease.uid), "html": html}


def _next(request: HttpRequest, assignment: Assignment, *, is_change: bool) -> HttpResponse:
    """After an answer: the saved answer's panel, and the pairs that the page does not hold yet."""
    project = assignment.comparison.project
    if not wants_json(request):
        return redirect(reverse("labeling:label", args=[project.slug]))
    labeler: Labeler = assignment.labeler
    held = set(request.POST.getlist("have"))
    try:
        leases = [] if is_change else lease_next(labeler, is_short=True)
    except PausedError:
        leases = []
    may_view = role_of(request.user, project) in Capability.VIEW.value
    context = _common(project) | {"may_view": may_view, "last": answer_of(assignment)}
    context["with_texts"] = "texts" in request.POST
    return JsonResponse(
        {
            "last": render_to_string("labeling/label/_last.html", context, request=request),
            "pairs": [_pair_html(request, lease, project) for lease in leases if str(lease.uid) not in held],
            "today": labels_today(labeler),
        }
    )
