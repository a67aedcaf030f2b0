"""Review: the queue of disagreements, and the desk on which one comparison is read and settled."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from labeling.access import Capability, may, project_for, reveals_record, review_comparison_for
from labeling.items.choices import filter_choices
from labeling.models import Comparison, DisagreementKind
from labeling.pages import project_context
from labeling.scheme import STEPS
from labeling.selectors.asking import people_to_ask
from labeling.selectors.history import comments_of, history_of
from labeling.selectors.reveals import responses_in_hand
from labeling.selectors.review import QueueFilter, kinds_of, neighbours, queue, queue_counts, queue_page
from labeling.selectors.review_rows import comparison_voices, queue_row
from labeling.views.label_bars import bar
from labeling.views.review_forms import LEAST, QUEUES, read_queue
from webapp.users.models import User


def person(request: HttpRequest) -> User:
    return cast(User, request.user)


@login_required
@require_safe
@never_cache
def review_queue(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.VIEW)
    form, wanted, place = read_queue(request.GET, project)
    page = queue_page(queue(project, wanted), place)
    closed = responses_in_hand(person(request), project)
    rows = [queue_row(row, closed) for row in page.rows]
    reveals_record(person(request), [row.comparison for row in rows if row.is_open])
    counts = queue_counts(project)
    context = {
        "form": form,
        "wanted": wanted,
        "rows": rows,
        "first": next((row for row in rows if row.is_open), None),
        "kinds": [(kind.value, QUEUES[kind], counts.get(kind.value, 0)) for kind in DisagreementKind],
        "waiting": sum(counts.values()),
        "choices": filter_choices(project),
        "least_choices": LEAST,
        "least_chosen": "" if wanted.least is None else f"{wanted.least:g}",
        "kept": urlencode(wanted.kept),
        "is_paged": place is not None,
        "next": urlencode({**wanted.kept, "after": str(page.next)}) if page.next else "",
    }
    return render(
        request, "labeling/review/queue.html", project_context(request, project, "review") | context
    )


@login_required
@require_safe
@never_cache
def review_desk(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    comparison = review_comparison_for(request.user, slug, pk, Capability.VIEW)
    return desk_response(request, comparison, request.GET)


def desk_response(
    request: HttpRequest, comparison: Comparison, query: QueryDict, *, status: int = 200, **draft: str
) -> HttpResponse:
    """The desk, in the queue that `query` describes. `draft` is what a refused form held: `choice`, `reason`."""
    project = comparison.project
    _form, wanted, _place = read_queue(query, project)
    kinds = kinds_of(comparison)
    if "kind" not in query and kinds:
        wanted = QueueFilter(kind=kinds[0].kind)
    closed = responses_in_hand(person(request), project)
    near = neighbours(queue(project, wanted), comparison, wanted.kind, closed)
    may_review = may(request.user, project, Capability.REVIEW)
    context = {
        "comparison": comparison,
        "kinds": [(row, QUEUES[DisagreementKind(row.kind)], round(100 * row.size)) for row in kinds],
        "wanted": wanted,
        "queue_name": QUEUES[DisagreementKind(wanted.kind)],
        "kept": urlencode(wanted.kept),
        "previous": desk_url(project.slug, near.previous, wanted),
        "next": desk_url(project.slug, near.next, wanted),
        "steps": bar(STEPS),
        "back": "desk",
        "draft": draft,
        "resolution": getattr(comparison, "resolution", None),
        "voices": comparison_voices(comparison),
        "events": history_of(comparison),
        "comments": comments_of(comparison),
        "may_review": may_review,
        "askable": people_to_ask(comparison, person(request)) if may_review else [],
        "me": request.user.pk,
    }
    page = project_context(request, project, "review") | context
    return render(request, "labeling/review/desk.html", page, status=status)


def desk_url(slug: str, pk: int | None, wanted: QueueFilter) -> str:
    """The desk of one comparison in this queue, "" of none."""
    if pk is None:
        return ""
    return f"{reverse('labeling:review-desk', args=[slug, pk])}?{urlencode(wanted.kept)}"
