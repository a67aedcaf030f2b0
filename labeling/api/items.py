"""Comparisons over REST. Members who may VIEW, scope `read`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, cast
from uuid import UUID

from django import forms
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from labeling.access import Capability, comparison_for, project_for, reveals_record
from labeling.items.filters import FilterForm, ItemFilter, ItemFilterError, filter_from_json
from labeling.items.finding import PAGE_SIZE, items_page
from labeling.models import Comparison, ResolvedOutcome
from labeling.selectors.reveals import responses_in_hand
from webapp.api.pagination import IdCursorPagination
from webapp.users.models import User

# "o" goes on to older ones, "n" to newer ones.
CURSOR = re.compile(r"([on])([0-9]{1,18})", re.ASCII)


class ResolutionSerializer(serializers.Serializer):
    outcome = serializers.ChoiceField(choices=ResolvedOutcome.choices)
    p_a = serializers.FloatField()
    strength = serializers.FloatField(allow_null=True)
    votes_a = serializers.IntegerField()
    votes_b = serializers.IntegerField()
    votes_tie = serializers.IntegerField()
    votes_both_bad = serializers.IntegerField()
    method = serializers.CharField()
    is_disputed = serializers.BooleanField()


class ItemResponseSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    text = serializers.CharField()
    model = serializers.CharField(source="model_name")


# What others say of a comparison, directly or by what came of it.
VOICES = (
    "use", "gold_outcome", "batch", "priority", "priority_reason", "label_count", "skip_count", "resolution",
)  # fmt: skip


class ComparisonSerializer(serializers.ModelSerializer):
    """While the caller labels one of its responses (`closed`), the texts alone; what others say is null. The context
    has `in_hand`, the ids of the responses that the caller is being asked about."""

    prompt_id = serializers.IntegerField()
    messages = serializers.JSONField(source="prompt.messages")
    group = serializers.CharField(source="prompt.group")
    language = serializers.CharField(source="prompt.language")
    topic = serializers.CharField(source="prompt.topic")
    response_a = ItemResponseSerializer()
    response_b = ItemResponseSerializer()
    batch = serializers.UUIDField(source="batch.uid", allow_null=True, default=None)
    resolution = serializers.SerializerMethodField()
    closed = serializers.SerializerMethodField()

    class Meta:
        model = Comparison
        fields = (
            "id", "prompt_id", "messages", "group", "language", "topic", "response_a", "response_b", "state",
            "use", "gold_outcome", "batch", "needed", "label_count", "skip_count", "priority", "priority_reason",
            "resolution", "closed", "created_at",
        )  # fmt: skip
        read_only_fields = fields
        extra_kwargs = {name: {"allow_null": True} for name in VOICES if name not in ("batch", "resolution")}

    def get_closed(self, comparison: Comparison) -> bool:
        return not self.context["in_hand"].isdisjoint((comparison.response_a_id, comparison.response_b_id))

    def to_representation(self, comparison: Comparison) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(comparison)
        if shown["closed"]:
            shown |= dict.fromkeys(VOICES)
            for response in (shown["response_a"], shown["response_b"]):
                response["model"] = ""
        return shown

    @extend_schema_field(ResolutionSerializer(allow_null=True))
    def get_resolution(self, comparison: Comparison) -> dict[str, Any] | None:
        resolution = getattr(comparison, "resolution", None)
        return None if resolution is None else dict(ResolutionSerializer(resolution).data)


def _parameters() -> list[OpenApiParameter]:
    """The filters as the form has them."""
    types = {forms.FloatField: float, forms.BooleanField: bool, forms.UUIDField: UUID, forms.DateField: date}
    found = []
    for name, field in FilterForm.base_fields.items():
        choices = [value for value, _name in getattr(field, "choices", []) if value]
        found.append(
            OpenApiParameter(
                name, types.get(type(field), str), enum=choices or None, description=str(field.label)
            )
        )
    return found


def read_filter(data: Mapping[str, Any]) -> ItemFilter:
    try:
        return filter_from_json(data)
    except ItemFilterError as error:
        raise ValidationError(error.problems) from error


class ItemPagination(IdCursorPagination):
    """A page may hold fewer rows than asked for and still have a next one: a search goes only so far at a time."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        project, wanted, in_hand = queryset
        self.address = request.build_absolute_uri()
        cursor = request.query_params.get(self.cursor_query_param, "")
        place = CURSOR.fullmatch(cursor)
        if cursor and place is None:
            raise NotFound(self.invalid_cursor_message)
        self.found = items_page(
            project,
            wanted,
            before=int(place[2]) if place and place[1] == "o" else None,
            after=int(place[2]) if place and place[1] == "n" else None,
            size=self.get_page_size(request) or PAGE_SIZE,
            hidden=in_hand if wanted.tells else frozenset(),
        )
        return self.found.rows

    def get_next_link(self) -> str | None:
        return self._link("o", self.found.older)

    def get_previous_link(self) -> str | None:
        return self._link("n", self.found.newer)

    def _link(self, letter: str, place: int | None) -> str | None:
        if place is None:
            return None
        link: str = replace_query_param(self.address, self.cursor_query_param, f"{letter}{place}")
        return link


@extend_schema_view(get=extend_schema(operation_id="comparisons_list", parameters=_parameters()))
class ComparisonsView(generics.ListAPIView[Comparison]):
    """Comparisons with models and outcomes, newest first. Those with a response that the caller is labeling are closed,
    and left out where a filter would tell what others say of them."""

    serializer_class = ComparisonSerializer
    pagination_class = ItemPagination
    queryset = Comparison.objects.none()

    def get_queryset(self) -> Any:
        """What the pagination finds them by."""
        project = project_for(self.request.user, self.kwargs["slug"], Capability.VIEW)
        form = FilterForm(self.request.query_params)
        if not form.is_valid():
            raise ValidationError(form.problems())
        self.in_hand = responses_in_hand(cast(User, self.request.user), project)
        return project, form.wanted(), self.in_hand

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "in_hand": getattr(self, "in_hand", set())}


class ComparisonView(APIView):
    @extend_schema(responses=ComparisonSerializer, operation_id="comparisons_get")
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """One comparison. That the caller was shown what others say of it is recorded."""
        user, comparison = cast(User, request.user), comparison_for(request.user, slug, pk)
        in_hand = responses_in_hand(user, comparison.project)
        data = ComparisonSerializer(comparison, context={"in_hand": in_hand}).data
        if not data["closed"]:
            reveals_record(user, [comparison])
        return Response(data)
