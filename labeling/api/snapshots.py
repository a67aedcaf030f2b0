"""Snapshots and exports over REST."""

from __future__ import annotations

from typing import Any, cast

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.utils.functional import SimpleLazyObject
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import generics, serializers, status
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, project_for, snapshot_for
from labeling.exporting import ExportForm, ExportOptions, export_manifest, read_options
from labeling.exporting.responses import export_response
from labeling.models import Snapshot
from labeling.selectors.staleness import revisions_of
from labeling.services.snapshots import snapshot_create
from labeling.snapshots import SnapshotConfig, SnapshotError
from webapp.api.errors import Conflict
from webapp.users.models import User


class SnapshotSerializer(serializers.ModelSerializer):
    stale = serializers.SerializerMethodField()
    revised_labels = serializers.SerializerMethodField()

    class Meta:
        model = Snapshot
        fields = (
            "number", "uid", "state", "config", "row_count", "split_counts", "content_hash", "file_hash",
            "last_preference_id", "stale", "revised_labels", "job_uid", "created_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_stale(self, snapshot: Snapshot) -> bool:
        """Whether there are preferences or adjudications that this snapshot has not seen."""
        if "newest" not in self.context:
            return snapshot.stale
        is_behind: bool = self.context["newest"] > snapshot.last_preference_id
        is_behind = is_behind or self.context["settled"] > snapshot.last_adjudication_id
        return is_behind or self.context["preference_count"] != snapshot.preference_count

    def get_revised_labels(self, snapshot: Snapshot) -> int:
        """How many of the labels that it has seen were changed, undone or settled by a reviewer since."""
        revisions = self.context.get("revisions") or revisions_of(snapshot.project)
        return int(revisions.since(snapshot).labels)


class SnapshotRequest(serializers.Serializer):
    """`config` may leave out anything: `GET` of a snapshot shows the defaults that it got."""

    config = serializers.DictField(required=False, help_text=str(SnapshotConfig().to_json()))


@extend_schema_view(get=extend_schema(operation_id="snapshots_list"))
class SnapshotsView(generics.ListAPIView[Snapshot]):
    """Snapshots, newest first."""

    serializer_class = SnapshotSerializer
    queryset = Snapshot.objects.none()

    def get_queryset(self) -> QuerySet[Snapshot]:
        self.project = project_for(self.request.user, self.kwargs["slug"], Capability.VIEW)
        return Snapshot.objects.filter(project=self.project)

    def get_serializer_context(self) -> dict[str, Any]:
        context = dict(super().get_serializer_context())
        if hasattr(self, "project"):
            preferences = self.project.preferences
            context["revisions"] = revisions_of(self.project)
            context["newest"] = preferences.order_by("-pk").values_list("pk", flat=True).first() or 0
            settled = self.project.adjudications.order_by("-pk").values_list("pk", flat=True)
            context["settled"] = settled.first() or 0
            # Counted once for the whole list, and only where a snapshot has the newest id.
            context["preference_count"] = SimpleLazyObject(preferences.count)
        return context

    @extend_schema(
        operation_id="snapshots_create", request=SnapshotRequest, responses={202: SnapshotSerializer}
    )
    def post(self, request: Request, slug: str) -> Response:
        """Start making a snapshot. 202: its job has been queued; `state` becomes `ready`."""
        project = project_for(request.user, slug, Capability.MANAGE)
        body = SnapshotRequest(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            snapshot = snapshot_create(
                project=project,
                config=body.validated_data.get("config"),
                created_by=cast(User, request.user),
            )
        except DjangoValidationError as error:
            raise serializers.ValidationError({"config": error.messages}) from None
        return Response(SnapshotSerializer(snapshot).data, status=status.HTTP_202_ACCEPTED)


class SnapshotView(APIView):
    @extend_schema(responses=SnapshotSerializer, operation_id="snapshots_get")
    def get(self, request: Request, slug: str, number: int) -> Response:
        """One snapshot; `state` says whether it is ready."""
        return Response(SnapshotSerializer(snapshot_for(request.user, slug, number)).data)


def _parameters() -> list[OpenApiParameter]:
    """The export's options as the form has them."""
    found = []
    for name, field in ExportForm.base_fields.items():
        choices = [value for value, _name in getattr(field, "choices", []) if value]
        found.append(
            OpenApiParameter(
                name,
                float if name == "min_agreement" else str,
                enum=choices or None,
                many=name == "splits",
                description=str(field.help_text or field.label),
            )
        )
    return found


EXPORT_PARAMETERS = _parameters()


class FirstRenderer(BaseContentNegotiation):
    """Any Accept header will do: the query says what the bytes are, and `format` is an option of the export."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class _ExportBase(APIView):
    content_negotiation_class = FirstRenderer

    def asked_for(self, request: Request, slug: str, number: int) -> tuple[Snapshot, ExportOptions]:
        snapshot = snapshot_for(request.user, slug, number)
        try:
            return snapshot, read_options(request.query_params)
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None


class ExportView(_ExportBase):
    @extend_schema(
        operation_id="snapshots_export",
        parameters=EXPORT_PARAMETERS,
        responses={
            (200, "application/x-ndjson"): OpenApiResponse(OpenApiTypes.BINARY, description="The rows."),
            304: OpenApiResponse(description="If-None-Match has the ETag: the bytes have not changed."),
            409: OpenApiResponse(description="The snapshot is not ready, or its file is damaged."),
        },
    )
    def get(self, request: Request, slug: str, number: int) -> HttpResponseBase:
        """The snapshot in a trainer's layout, streamed. Same options, same bytes."""
        snapshot, options = self.asked_for(request, slug, number)
        try:
            return export_response(request, snapshot, options)
        except SnapshotError as error:
            raise Conflict(str(error)) from None


class ManifestView(_ExportBase):
    @extend_schema(
        operation_id="snapshots_export_manifest",
        parameters=EXPORT_PARAMETERS,
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, slug: str, number: int) -> Response:
        """What an export with these options holds: snapshot, policies, rows written and left out, SHA-256."""
        snapshot, options = self.asked_for(request, slug, number)
        try:
            return Response(export_manifest(snapshot, options))
        except SnapshotError as error:
            raise Conflict(str(error)) from None
