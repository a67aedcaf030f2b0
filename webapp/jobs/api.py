"""Jobs over REST: list, one, cancel, retry."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.api.errors import Conflict
from webapp.jobs.access import job_for, jobs_seen, project_viewed
from webapp.jobs.errors import JobStateError
from webapp.jobs.models import Job, JobState
from webapp.jobs.services import job_cancel, job_retry
from webapp.users.models import User


class JobSerializer(serializers.ModelSerializer):
    """Numbers and names; parameters stay inside, they may hold what another storey keeps to itself."""

    project = serializers.IntegerField(source="project_id", allow_null=True)
    created_by = serializers.CharField(allow_null=True)

    class Meta:
        model = Job
        fields = [
            "uid", "kind", "queue", "title", "project", "created_by", "state", "attempts", "max_attempts",
            "progress_done", "progress_total", "progress_message", "expected_end_at", "metrics", "error",
            "cancel_requested_at", "created_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


class JobDetailSerializer(JobSerializer):
    retry_of = serializers.UUIDField(source="retry_of.uid", default=None, allow_null=True)

    class Meta(JobSerializer.Meta):
        fields = [*JobSerializer.Meta.fields, "result", "log_tail", "retry_of"]
        read_only_fields = fields


def _person(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


@extend_schema(
    parameters=[
        OpenApiParameter("project", str, description="The address of one project."),
        OpenApiParameter("state", str, enum=JobState.values),
        OpenApiParameter("kind", str),
    ]
)
class JobsView(generics.ListAPIView):
    """The jobs that you may see, newest first."""

    serializer_class = JobSerializer
    queryset = Job.objects.none()

    def get_queryset(self) -> QuerySet[Job]:
        jobs = jobs_seen(self.request.user)
        asked = self.request.query_params
        if slug := asked.get("project"):
            jobs = jobs.filter(project_id=project_viewed(self.request.user, slug).pk)
        if state := asked.get("state"):
            if state not in JobState.values:
                raise ValidationError(
                    {"state": [_("One of %(names)s.") % {"names": ", ".join(JobState.values)}]}
                )
            jobs = jobs.filter(state=state)
        if kind := asked.get("kind"):
            jobs = jobs.filter(kind=kind)
        return jobs


class JobView(APIView):
    """One job with its log and its result."""

    @extend_schema(responses=JobDetailSerializer)
    def get(self, request: Request, uid: UUID) -> Response:
        return Response(JobDetailSerializer(job_for(request.user, uid)).data)


class JobCancelView(APIView):
    """Cancel: at once while queued, at its next step while running.

    Cancelling an ended job changes nothing.
    """

    @extend_schema(request=None, responses=JobDetailSerializer)
    def post(self, request: Request, uid: UUID) -> Response:
        job = job_cancel(job_for(request.user, uid, manage=True), actor=_person(request))
        return Response(JobDetailSerializer(job).data)


class JobRetryView(APIView):
    """A new job with the same parameters, for one that failed or was cancelled. 409 for any other state."""

    @extend_schema(request=None, responses={201: JobDetailSerializer})
    def post(self, request: Request, uid: UUID) -> Response:
        try:
            job = job_retry(job_for(request.user, uid, manage=True), actor=_person(request))
        except JobStateError as error:
            raise Conflict(str(error)) from None
        data: dict[str, Any] = JobDetailSerializer(job).data
        return Response(data, status=201)
