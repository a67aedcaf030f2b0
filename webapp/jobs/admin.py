"""Operators' view of jobs and workers: read, cancel, retry."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from webapp.jobs.errors import JobStateError
from webapp.jobs.models import Job, WorkerBeat
from webapp.jobs.services import job_cancel, job_retry
from webapp.ui.admin import ReadOnlyAdmin
from webapp.users.models import User


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "kind", "queue", "state", "attempts", "worker", "created_at", "finished_at")
    list_filter = ("state", "queue", "kind")
    search_fields = ("title", "kind", "uid")
    list_select_related = ("created_by",)
    actions = ("cancel_jobs", "retry_jobs")

    @admin.action(description=_("Cancel the selected jobs"))
    def cancel_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        asked = [job_cancel(job, actor=_operator(request)) for job in queryset if job.is_active]
        count = len(asked)
        messages.info(request, ngettext("%d job cancelled.", "%d jobs cancelled.", count) % count)

    @admin.action(description=_("Try the selected jobs again"))
    def retry_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        count = 0
        for job in queryset:
            try:
                job_retry(job, actor=_operator(request))
            except JobStateError as error:
                messages.warning(request, f"{job}: {error}")
            else:
                count += 1
        messages.info(request, ngettext("%d job queued again.", "%d jobs queued again.", count) % count)


@admin.register(WorkerBeat)
class WorkerBeatAdmin(ReadOnlyAdmin):
    list_display = ("name", "pid", "queues", "started_at", "last_seen_at")


def _operator(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None
