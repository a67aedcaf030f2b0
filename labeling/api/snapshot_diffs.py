"""Differences of two snapshots over REST."""

from __future__ import annotations

from typing import cast

from django.http import FileResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, snapshot_pair_for
from labeling.api.snapshots import FirstRenderer
from labeling.models import SnapshotDiff
from labeling.selectors.reveals import responses_in_hand
from labeling.services.diffs import changes_open, diff_start
from labeling.snapshots import SnapshotError
from webapp.api.errors import Conflict
from webapp.users.models import User


class SnapshotDiffSerializer(serializers.ModelSerializer):
    older = serializers.IntegerField(source="older.number", read_only=True)
    newer = serializers.IntegerField(source="newer.number", read_only=True)

    class Meta:
        model = SnapshotDiff
        fields = ("older", "newer", "state", "summary", "job_uid", "created_at")
        read_only_fields = fields


class DiffView(APIView):
    """What changed between two snapshots, whichever is named first."""

    @extend_schema(responses=SnapshotDiffSerializer, operation_id="snapshots_diff_get")
    def get(self, request: Request, slug: str, number: int, other: int) -> Response:
        """404 until somebody has had it found. `summary` has counts, the table of outcomes and the first changes, but
        for those of which the caller is being asked."""
        older, newer = snapshot_pair_for(request.user, slug, number, other)
        found = SnapshotDiff.objects.filter(older=older, newer=newer).select_related("older", "newer").first()
        if found is None:
            raise NotFound
        return _answer(request, found)

    @extend_schema(
        request=None, responses={202: SnapshotDiffSerializer}, operation_id="snapshots_diff_create"
    )
    def post(self, request: Request, slug: str, number: int, other: int) -> Response:
        """Have it found. 202: its job has been queued, or was before; `state` becomes `ready`."""
        older, newer = snapshot_pair_for(request.user, slug, number, other, Capability.MANAGE)
        try:
            found = diff_start(older=older, newer=newer, created_by=cast(User, request.user))
        except SnapshotError as error:
            raise Conflict(str(error)) from None
        return _answer(request, found, status.HTTP_202_ACCEPTED)


def _answer(request: Request, diff: SnapshotDiff, code: int = status.HTTP_200_OK) -> Response:
    """Without the changes of comparisons of which the caller is being asked about a response."""
    closed = responses_in_hand(cast(User, request.user), diff.newer.project)
    first = {
        kind: [row for row in rows if not {row["response_a_id"], row["response_b_id"]} & closed]
        for kind, rows in diff.summary.get("first", {}).items()
    }
    if first:
        diff.summary = diff.summary | {"first": first}
    return Response(SnapshotDiffSerializer(diff).data, status=code)


class ChangesView(APIView):
    content_negotiation_class = FirstRenderer

    @extend_schema(
        operation_id="snapshots_diff_changes",
        responses={
            (200, "application/vnd.apache.parquet"): OpenApiResponse(OpenApiTypes.BINARY),
            404: OpenApiResponse(description="Nobody has had the difference found yet."),
        },
    )
    def get(self, request: Request, slug: str, number: int, other: int) -> HttpResponseBase:
        """All changes as Parquet, ordered by comparison."""
        older, newer = snapshot_pair_for(request.user, slug, number, other)
        file = changes_open(older, newer)
        if file is None:
            raise NotFound
        return FileResponse(
            file,
            as_attachment=True,
            filename=f"v{older.number}-v{newer.number}-changes.parquet",
            content_type="application/vnd.apache.parquet",
        )
