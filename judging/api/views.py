"""REST of judging: judges, versions, runs, verdicts, endpoints."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from judging.access import endpoint_for, judge_for, run_for, verdict_for, version_for
from judging.api.serializers import (
    JudgeSerializer,
    JudgeWriteSerializer,
    RunSerializer,
    RunWriteSerializer,
    TrainSerializer,
    VerdictSerializer,
    VersionSerializer,
    VersionWriteSerializer,
)
from judging.models import Endpoint, Judge, JudgeRun, Verdict
from judging.parsing import STATUSES
from judging.selectors.selection import SelectionError, selection_from_json
from judging.services.judges import VersionSpec, judge_create, judge_delete, judge_version_create
from judging.services.runs import run_start
from judging.services.training_start import judge_training_start
from labeling.access import Capability, project_for, reveal_to, review_comparison_for, snapshot_for
from labeling.models import Project
from labeling.selectors.reveals import out_of_hand
from webapp.api.pagination import IdCursorPagination
from webapp.users.models import User


def person(request: Request) -> User:
    return cast(User, request.user)


def checked(serializer: serializers.BaseSerializer) -> Any:
    serializer.is_valid(raise_exception=True)
    return serializer


class ListView(APIView):
    """A view with pages by cursor."""

    pagination_class: type[CursorPagination] = IdCursorPagination

    def paged(
        self, request: Request, rows: QuerySet, serializer: type[serializers.ModelSerializer]
    ) -> Response:
        paginator = self.pagination_class()
        page = paginator.paginate_queryset(rows, request, view=self)
        return paginator.get_paginated_response(serializer(page, many=True).data)


def _spec(project: Project, user: User, data: dict[str, Any]) -> VersionSpec:
    """A version's settings; an endpoint is named by its uid, and only managers reach this."""
    values = {name: value for name, value in data.items() if name != "name"}
    uid = values.pop("endpoint", None)
    endpoint: Endpoint | None = endpoint_for(user, project.slug, uid) if uid else None
    return VersionSpec(endpoint=endpoint, **values)


class JudgesView(ListView):
    @extend_schema(responses=JudgeSerializer(many=True), operation_id="judges_list")
    def get(self, request: Request, slug: str) -> Response:
        """Judges, newest first."""
        project = project_for(person(request), slug, Capability.VIEW)
        return self.paged(request, Judge.objects.filter(project=project), JudgeSerializer)

    @extend_schema(
        request=JudgeWriteSerializer, responses={201: VersionSerializer}, operation_id="judges_create"
    )
    def post(self, request: Request, slug: str) -> Response:
        """A new judge, with its first version."""
        project = project_for(person(request), slug, Capability.MANAGE)
        data = checked(JudgeWriteSerializer(data=request.data)).validated_data
        version = judge_create(
            project=project,
            name=data["name"],
            spec=_spec(project, person(request), data),
            created_by=person(request),
        )
        body = VersionSerializer(version).data | {"judge": str(version.judge.uid)}
        return Response(body, status=status.HTTP_201_CREATED)


class JudgeView(APIView):
    @extend_schema(responses=JudgeSerializer, operation_id="judges_retrieve")
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """One judge, with all of its versions."""
        judge = judge_for(person(request), slug, uid)
        versions = judge.versions.select_related("endpoint").order_by("-number")
        return Response(
            JudgeSerializer(judge).data | {"versions": VersionSerializer(versions, many=True).data}
        )

    @extend_schema(responses={204: None}, operation_id="judges_delete")
    def delete(self, request: Request, slug: str, uid: UUID) -> Response:
        """Delete a judge with its versions, runs and verdicts."""
        judge_delete(judge_for(person(request), slug, uid, Capability.MANAGE), actor=person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class VersionsView(APIView):
    @extend_schema(
        request=VersionWriteSerializer,
        responses={201: VersionSerializer},
        operation_id="judge_versions_create",
    )
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """A new version. Settings that equal an earlier version's give that one back."""
        judge = judge_for(person(request), slug, uid, Capability.MANAGE)
        data = checked(VersionWriteSerializer(data=request.data)).validated_data
        spec = _spec(judge.project, person(request), data)
        version = judge_version_create(judge=judge, spec=spec, created_by=person(request))
        return Response(VersionSerializer(version).data, status=status.HTTP_201_CREATED)


class RunsView(ListView):
    @extend_schema(responses=RunSerializer(many=True), operation_id="judge_runs_list")
    def get(self, request: Request, slug: str) -> Response:
        """Runs of judges, newest first."""
        project = project_for(person(request), slug, Capability.VIEW)
        rows = JudgeRun.objects.filter(project=project).select_related("judge_version__judge")
        return self.paged(request, rows, RunSerializer)

    @extend_schema(
        request=RunWriteSerializer, responses={202: RunSerializer}, operation_id="judge_runs_create"
    )
    def post(self, request: Request, slug: str) -> Response:
        """Judge a selection in both orders, as a job; follow `job_uid`."""
        project_for(person(request), slug, Capability.MANAGE)
        data = checked(RunWriteSerializer(data=request.data)).validated_data
        judge = judge_for(person(request), slug, data["judge"], Capability.MANAGE)
        newest = judge.versions.order_by("-number").values_list("number", flat=True).first() or 0
        version = version_for(
            person(request), slug, judge.uid, data.get("version", newest), Capability.MANAGE
        )
        try:
            selection = selection_from_json(data["selection"])
        except SelectionError as error:
            raise ValidationError({"selection": [str(error)]}) from error
        run = run_start(version=version, selection=selection, created_by=person(request))
        return Response(RunSerializer(run).data, status=status.HTTP_202_ACCEPTED)


class RunView(APIView):
    @extend_schema(responses=RunSerializer, operation_id="judge_runs_retrieve")
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """One run, and how far it is."""
        return Response(RunSerializer(run_for(person(request), slug, uid)).data)


class VerdictsView(ListView):
    @extend_schema(
        responses=VerdictSerializer(many=True),
        operation_id="verdicts_list",
        parameters=[
            OpenApiParameter("judge", str, description="Of this judge (uid)."),
            OpenApiParameter("comparison", int),
            OpenApiParameter("status", str, enum=STATUSES),
        ],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Verdicts, newest first; none with a response that the caller is labeling."""
        project = project_for(person(request), slug, Capability.VIEW)
        rows = Verdict.objects.filter(out_of_hand(person(request), project), comparison__project=project)
        return self.paged(
            request, _filtered(rows.select_related("judge_version__judge"), request, slug), VerdictSerializer
        )


def _filtered(rows: QuerySet[Verdict], request: Request, slug: str) -> QuerySet[Verdict]:
    """By an allow-list of plain fields. That the caller was shown those of one comparison is recorded."""
    wanted = request.query_params
    try:
        if "judge" in wanted:
            rows = rows.filter(judge_version__judge__uid=UUID(wanted["judge"]))
        number = int(wanted["comparison"]) if "comparison" in wanted else None
    except ValueError as error:
        raise ValidationError({"filter": [_("judge is a uid and comparison a number.")]}) from error
    if number is not None:
        one = review_comparison_for(person(request), slug, number, Capability.VIEW)
        rows = rows.filter(comparison=one)
    if "status" in wanted:
        rows = rows.filter(status=wanted["status"])
    return rows


class VerdictView(APIView):
    @extend_schema(responses=VerdictSerializer, operation_id="verdicts_retrieve")
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """One verdict. That the caller was shown it is recorded; 403 while labeling one of its responses."""
        verdict = verdict_for(person(request), slug, uid)
        reveal_to(person(request), verdict.comparison)
        return Response(VerdictSerializer(verdict).data)


class TrainView(APIView):
    @extend_schema(request=TrainSerializer, responses={202: None}, operation_id="judges_train")
    def post(self, request: Request, slug: str) -> Response:
        """Train a small local judge on a snapshot's labels, as a job."""
        project = project_for(person(request), slug, Capability.MANAGE)
        data = checked(TrainSerializer(data=request.data)).validated_data
        job = judge_training_start(
            project=project,
            name=data["name"],
            snapshot=snapshot_for(person(request), slug, data["snapshot"], Capability.MANAGE),
            created_by=person(request),
        )
        return Response({"job_uid": str(job.uid)}, status=status.HTTP_202_ACCEPTED)
