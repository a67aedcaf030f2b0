"""Saved filters and bulk actions over REST. Filters: members who may VIEW; bulk: managers."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import generics, serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, batch_for, project_for, saved_filter_for
from labeling.api.items import read_filter
from labeling.api.work import NewBatchSerializer, labelers_named
from labeling.items.filters import ItemFilter
from labeling.models import Project, SavedFilter
from labeling.selectors.saved_filters import saved_filters_seen
from labeling.services.bulk import bulk_preview, items_bulk, items_into_new_batch
from labeling.services.bulk_deeds import BulkAction, BulkError, Deed
from labeling.services.saved_filters import saved_filter_create, saved_filter_delete, saved_filter_update
from webapp.jobs.models import Job
from webapp.users.models import User


class SavedFilterSerializer(serializers.ModelSerializer):
    owner = serializers.CharField(source="owner.username", read_only=True)
    filter = serializers.DictField(
        source="query", help_text="Names and values as the list of comparisons takes them."
    )

    class Meta:
        model = SavedFilter
        fields = ("id", "name", "filter", "is_shared", "owner", "created_at")
        read_only_fields = ("id", "created_at")


class SavedFilterChange(serializers.ModelSerializer):
    class Meta:
        model = SavedFilter
        fields = ("name", "is_shared")
        extra_kwargs = {"name": {"required": False}}


@extend_schema_view(get=extend_schema(operation_id="saved_filters_list"))
class SavedFiltersView(generics.ListAPIView[SavedFilter]):
    """The person's own filters, and those that others share."""

    serializer_class = SavedFilterSerializer
    queryset = SavedFilter.objects.none()

    def get_queryset(self) -> QuerySet[SavedFilter]:
        project = project_for(self.request.user, self.kwargs["slug"], Capability.VIEW)
        return saved_filters_seen(cast(User, self.request.user), project)

    @extend_schema(
        operation_id="saved_filters_create",
        request=SavedFilterSerializer,
        responses={201: SavedFilterSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Keep a filter under a name; shared, everybody who may view finds it."""
        project = project_for(request.user, slug, Capability.VIEW)
        body = SavedFilterSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        saved = saved_filter_create(
            project=project,
            owner=cast(User, request.user),
            name=body.validated_data["name"],
            wanted=read_filter(body.validated_data["query"]),
            is_shared=body.validated_data.get("is_shared", False),
        )
        return Response(SavedFilterSerializer(saved).data, status=status.HTTP_201_CREATED)


class SavedFilterView(APIView):
    @extend_schema(
        operation_id="saved_filters_update", request=SavedFilterChange, responses=SavedFilterSerializer
    )
    def patch(self, request: Request, slug: str, pk: int) -> Response:
        """Another name, or shared or not."""
        saved = saved_filter_for(request.user, slug, pk)
        body = SavedFilterChange(saved, data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        return Response(SavedFilterSerializer(saved_filter_update(saved=saved, **body.validated_data)).data)

    @extend_schema(operation_id="saved_filters_delete", responses={204: None})
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Forget a filter: an own one or, for managers, a shared one."""
        saved_filter_delete(saved=saved_filter_for(request.user, slug, pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class BulkRequest(serializers.Serializer):
    filter = serializers.DictField(
        help_text="As the list takes it; {} means every comparison of the project."
    )
    action = serializers.ChoiceField(choices=BulkAction.choices)
    value = serializers.FloatField(
        required=False, default=0.0, help_text="The priority, or how many more people."
    )
    batch = serializers.UUIDField(required=False, help_text="Of `batch`: an open batch.")
    new_batch = NewBatchSerializer(required=False, help_text="Of `batch`: a batch to be made.")
    preview = serializers.BooleanField(required=False, default=False, help_text="Count only.")

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        is_batch = asked["action"] == BulkAction.BATCH and not asked["preview"]
        named = ("batch" in asked) + ("new_batch" in asked)
        if is_batch and named != 1:
            raise ValidationError({"batch": [_("Name an open batch, or describe a new one in new_batch.")]})
        return asked


class BulkResult(serializers.Serializer):
    total = serializers.IntegerField(help_text="Found; counted up to 100,001.")
    fitting = serializers.IntegerField(help_text="Of these, the ones that the action fits.")
    why_left_out = serializers.CharField()
    treated = serializers.IntegerField(allow_null=True)
    batch = serializers.UUIDField(allow_null=True, help_text="The batch that was filled.")
    job = serializers.UUIDField(allow_null=True)


class BulkView(APIView):
    @extend_schema(
        operation_id="comparisons_bulk",
        request=BulkRequest,
        responses={200: BulkResult, 202: OpenApiResponse(BulkResult, description="A job does it.")},
    )
    def post(self, request: Request, slug: str) -> Response:
        """One deed on all comparisons that a filter finds: at once up to 200, else by a job.

        What you are being asked about yourself is left out where the numbers could tell something of it.
        """
        project = project_for(request.user, slug, Capability.MANAGE)
        body = BulkRequest(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, Any] = body.validated_data
        wanted = read_filter(asked["filter"])
        try:
            deed = Deed(BulkAction(asked["action"]), asked["value"])
        except BulkError as error:
            raise ValidationError({"value": [str(error)]}) from error
        preview = bulk_preview(project=project, wanted=wanted, deed=deed, viewer=cast(User, request.user))
        result = {
            "total": preview.total,
            "fitting": preview.fitting,
            "why_left_out": preview.why_left_out if preview.left_out else "",
            "treated": None,
            "batch": None,
            "job": None,
        }
        if asked["preview"]:
            return Response(result)
        batch, count, job = _carried_out(project, wanted, deed, preview.up_to, asked, request)
        result |= {"batch": batch}
        if job is not None:
            return Response(result | {"job": str(job.uid)}, status=status.HTTP_202_ACCEPTED)
        return Response(result | {"treated": count})


def _carried_out(
    project: Project, wanted: ItemFilter, deed: Deed, up_to: int, asked: dict[str, Any], request: Request
) -> tuple[str | None, int, Job | None]:
    """The uid of the batch where one is filled, how many were treated, the job. Raises ValidationError."""
    actor = cast(User, request.user)
    what: dict[str, Any] = {"project": project, "wanted": wanted, "up_to": up_to, "actor": actor}
    if deed.action != BulkAction.BATCH:
        return None, *items_bulk(deed=deed, **what)
    if "new_batch" in asked:
        new = asked["new_batch"]
        people = labelers_named(project, new["people"])
        batch, count, job = items_into_new_batch(
            name=new["name"], people=people, deadline=new.get("deadline"), **what
        )
        return str(batch.uid), count, job
    batch = batch_for(request.user, project.slug, asked["batch"])
    try:
        return str(batch.uid), *items_bulk(deed=Deed(BulkAction.BATCH, batch=batch.pk), **what)
    except BulkError as error:
        raise ValidationError({"batch": [str(error)]}) from error
