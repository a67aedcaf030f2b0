"""Who may see a job. The storey above answers for projects; it is asked through dotted names in settings.

Operators (staff) see and manage every job. A job of a project belongs to whoever may view it (to see) or
manage it (to cancel, to retry). A job of no project belongs to whoever asked for it. To everybody else it
is not there.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from webapp.jobs.models import Job
from webapp.users.models import User

AnyUser = User | AnonymousUser


def is_operator(user: AnyUser) -> bool:
    return bool(user.is_active and user.is_staff)


def projects_viewed(user: AnyUser) -> QuerySet[Any]:
    """The projects (of the storey above) whose jobs the person may see."""
    projects: QuerySet[Any] = import_string(settings.PROJECTS_VIEWED)(user)
    return projects


def project_viewed(user: AnyUser, slug: str) -> Any:
    """One of them by its address. Raises Http404."""
    project = projects_viewed(user).filter(slug=slug).first()
    if project is None:
        raise Http404(_("There is no such project, or you are not a member of it."))
    return project


def jobs_seen(user: AnyUser) -> QuerySet[Job]:
    """All jobs that the person may see, newest first."""
    jobs = Job.objects.select_related("created_by").order_by("-pk")
    if not user.is_authenticated or not user.is_active:
        return jobs.none()
    if is_operator(user):
        return jobs
    return jobs.filter(
        Q(project_id__in=projects_viewed(user).values("pk")) | Q(project_id__isnull=True, created_by=user.pk)
    )


def job_for(user: AnyUser, uid: UUID, *, manage: bool = False) -> Job:
    """The job with this uid, if the person may see it (or manage it). Raises Http404 or PermissionDenied."""
    job = Job.objects.select_related("created_by", "retry_of").filter(uid=uid).first()
    if job is None or not user.is_authenticated:
        raise Http404(_("There is no such job."))
    if is_operator(user):
        return job
    if job.project_id is not None:
        import_string(settings.PROJECT_ACCESS)(user, job.project_id, manage=manage)
    elif job.created_by_id != user.pk:
        raise Http404(_("There is no such job."))
    return job


def may_manage(user: AnyUser, job: Job) -> bool:
    """May the person cancel or retry this job, which they may already see?"""
    try:
        job_for(user, job.uid, manage=True)
    except (PermissionDenied, Http404):
        return False
    return True
