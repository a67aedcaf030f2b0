"""The jobs pages: the list, one job live, cancel and retry."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.module_loading import import_string
from django.views.decorators.http import require_POST, require_safe

from webapp.jobs.access import is_operator, job_for, jobs_seen, may_manage, project_viewed, projects_viewed
from webapp.jobs.errors import JobStateError
from webapp.jobs.models import ACTIVE_STATES, Job, JobState
from webapp.jobs.services import job_cancel, job_retry
from webapp.users.models import User

PAGE_SIZE = 50
STATE_FILTERS: dict[str, tuple[str, ...]] = {
    "active": ACTIVE_STATES,
    "failed": (JobState.FAILED,),
    "done": (JobState.DONE,),
    "cancelled": (JobState.CANCELLED,),
}


def _person(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _page_context(request: HttpRequest, project: Any) -> dict[str, Any]:
    """A job of a project is shown under the project's tabs, where the storey above draws them."""
    if project is None:
        return {"base_template": "base.html"}
    context: dict[str, Any] = import_string(settings.PROJECT_CONTEXT)(request, project, "jobs")
    return {**context, "base_template": "project_base.html"}


def _page_of(jobs: QuerySet[Job], before: str) -> tuple[list[Job], int | None]:
    """One page below a job's number, and the number to go on from."""
    if before.isascii() and before.isdigit():
        jobs = jobs.filter(pk__lt=int(before))
    rows = list(jobs[: PAGE_SIZE + 1])
    return rows[:PAGE_SIZE], rows[PAGE_SIZE - 1].pk if len(rows) > PAGE_SIZE else None


@login_required
@require_safe
def job_list(request: HttpRequest) -> HttpResponse:
    """All jobs of `?project=slug`, or all that the person may see.

    `?state=` and `?before=` narrow them down.
    """
    slug, state = request.GET.get("project", ""), request.GET.get("state", "")
    project = project_viewed(request.user, slug) if slug else None
    jobs = jobs_seen(request.user)
    if project is not None:
        jobs = jobs.filter(project_id=project.pk)
    if state in STATE_FILTERS:
        jobs = jobs.filter(state__in=STATE_FILTERS[state])
    rows, next_before = _page_of(jobs, request.GET.get("before", ""))
    names = {} if project else dict(projects_viewed(request.user).values_list("pk", "name"))
    context = {
        "rows": [(job, names.get(job.project_id)) for job in rows],
        "state": state if state in STATE_FILTERS else "",
        "project_slug": slug,
        "next_before": next_before,
        "is_paged": bool(request.GET.get("before")),
        "sees_all": is_operator(request.user) and project is None,
    }
    return render(request, "jobs/list.html", _page_context(request, project) | context)


@login_required
@require_safe
def job_detail(request: HttpRequest, uid: UUID) -> HttpResponse:
    """The page, or (asked for by htmx) its live part alone, which stops asking once the job has ended."""
    job = job_for(request.user, uid)
    context = {"job": job, "may_manage": may_manage(request.user, job)}
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "jobs/_job.html", context)
    project = projects_viewed(request.user).filter(pk=job.project_id).first() if job.project_id else None
    return render(request, "jobs/detail.html", _page_context(request, project) | context)


@login_required
@require_safe
def job_progress(request: HttpRequest, uid: UUID) -> HttpResponse:
    """The small progress panel that other pages include. Its last answer tells the page `job-ended`."""
    job = job_for(request.user, uid)
    response = render(request, "jobs/_progress.html", {"job": job})
    if not job.is_active:
        response["HX-Trigger"] = "job-ended"
    return response


@login_required
@require_POST
def cancel(request: HttpRequest, uid: UUID) -> HttpResponse:
    job_cancel(job_for(request.user, uid, manage=True), actor=_person(request))
    return redirect("jobs:detail", uid)


@login_required
@require_POST
def retry(request: HttpRequest, uid: UUID) -> HttpResponse:
    try:
        job = job_retry(job_for(request.user, uid, manage=True), actor=_person(request))
    except JobStateError as error:
        messages.error(request, str(error))
        return redirect("jobs:detail", uid)
    return redirect("jobs:detail", job.uid)
