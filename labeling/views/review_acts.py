"""What is done in review. Every act is a plain form post that comes back to a page."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from labeling.access import Capability, comment_for, comparison_for, project_for, review_comparison_for
from labeling.models import Comparison
from labeling.selectors.asking import people_to_ask
from labeling.selectors.reveals import responses_in_hand
from labeling.selectors.review import neighbours, queue
from labeling.services.adjudication import adjudicate, adjudication_withdraw
from labeling.services.allocation import LabelingError
from labeling.services.comments import comment_create, comment_delete
from labeling.services.sending_back import send_back
from labeling.views.label_form import read_key
from labeling.views.review import desk_response, desk_url, person
from labeling.views.review_forms import read_choice, read_queue
from labeling.views.work import labelers_of


@login_required
@require_POST
def adjudication(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Settle, and on to the next one of the queue."""
    comparison = review_comparison_for(request.user, slug, pk)
    outcome, strength = read_choice(request.POST.get("choice", ""))
    try:
        adjudicate(
            comparison=comparison,
            reviewer=person(request),
            outcome=outcome,
            strength=strength,
            reason=request.POST.get("reason", ""),
            key=read_key(request),
        )
    except (LabelingError, ValidationError) as error:
        # What was written stays on the desk.
        messages.error(request, _words(error))
        draft = {name: request.POST.get(name, "") for name in ("choice", "reason")}
        return desk_response(request, comparison, _queue(request), status=_status(error), **draft)
    messages.success(request, _("Comparison #%(number)d is settled.") % {"number": comparison.pk})
    return redirect(_onwards(request, comparison))


def _onwards(request: HttpRequest, comparison: Comparison) -> str:
    """The desk of the next one in the queue that the reviewer is working through; the queue at its end."""
    slug = comparison.project.slug
    if request.POST.get("back") == "page":
        return reverse("labeling:comparison", args=[slug, comparison.pk])
    _form, wanted, _place = read_queue(_queue(request), comparison.project)
    closed = responses_in_hand(person(request), comparison.project)
    near = neighbours(queue(comparison.project, wanted), comparison, wanted.kind, closed)
    following = near.next or near.previous
    return desk_url(slug, following, wanted) or (
        f"{reverse('labeling:review', args=[slug])}?{urlencode(wanted.kept)}"
    )


def _here(request: HttpRequest, comparison: Comparison, place: str = "") -> str:
    """The page from which the form came."""
    name = "comparison" if request.POST.get("back") == "page" else "review-desk"
    address = reverse(f"labeling:{name}", args=[comparison.project.slug, comparison.pk])
    _form, wanted, _place = read_queue(_queue(request), comparison.project)
    query = f"?{urlencode(wanted.kept)}" if name == "review-desk" and request.POST.get("queue") else ""
    return f"{address}{query}{place}"


def _refused(
    request: HttpRequest, comparison: Comparison, error: LabelingError | ValidationError
) -> HttpResponse:
    messages.error(request, _words(error))
    return redirect(_here(request, comparison))


def _words(error: LabelingError | ValidationError) -> str:
    return " ".join(error.messages) if isinstance(error, ValidationError) else str(error.message)


def _status(error: LabelingError | ValidationError) -> int:
    return 400 if isinstance(error, ValidationError) else 409


def _queue(request: HttpRequest) -> QueryDict:
    """The queue that the reviewer is working through, as the desk's address has it."""
    return QueryDict(request.POST.get("queue", "")[:2000])


@login_required
@require_POST
def withdrawal(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    comparison = review_comparison_for(request.user, slug, pk)
    try:
        adjudication_withdraw(
            comparison=comparison,
            reviewer=person(request),
            reason=request.POST.get("reason", ""),
            key=read_key(request),
        )
    except (LabelingError, ValidationError) as error:
        return _refused(request, comparison, error)
    messages.success(request, _("The settlement is taken back; the votes count again."))
    return redirect(_here(request, comparison))


@login_required
@require_POST
def sending_back(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    comparison = review_comparison_for(request.user, slug, pk)
    more = request.POST.get("more", "1")
    named = set(request.POST.getlist("people"))
    asked = [row.member for row in people_to_ask(comparison, person(request)) if str(row.member.pk) in named]
    try:
        send_back(
            comparison=comparison,
            actor=person(request),
            to=request.POST.get("to", ""),
            more=int(more) if more.isascii() and more.isdigit() and len(more) < 4 else 0,
            note=request.POST.get("note", ""),
            people=labelers_of(asked),
        )
    except (LabelingError, ValidationError) as error:
        return _refused(request, comparison, error)
    messages.success(request, _("Comparison #%(number)d is sent back.") % {"number": comparison.pk})
    return redirect(_onwards(request, comparison))


@login_required
@require_POST
def comment_new(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    comparison = review_comparison_for(request.user, slug, pk)
    try:
        comment_create(comparison=comparison, author=person(request), text=request.POST.get("text", ""))
    except ValidationError as error:
        return _refused(request, comparison, error)
    return redirect(_here(request, comparison, "#comments"))


@login_required
@require_POST
def comment_remove(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    project = project_for(request.user, slug, Capability.REVIEW)
    comment = comment_for(request.user, project, uid)
    comparison = comparison_for(request.user, slug, comment.comparison_id)
    comment_delete(comment=comment)
    return redirect(_here(request, comparison, "#comments"))
