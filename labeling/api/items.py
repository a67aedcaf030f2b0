"""Comparisons over REST. Members who may VIEW, scope `read`."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, comparison_for, project_for
from labeling.models import Comparison, ComparisonState, ResolvedOutcome
from labeling.selectors.comparisons import comparisons_found
from labeling.views.items import FilterForm


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


class ComparisonSerializer(serializers.ModelSerializer):
    prompt_id = serializers.IntegerField()
    messages = serializers.JSONField(source="prompt.messages")
    group = serializers.CharField(source="prompt.group")
    language = serializers.CharField(source="prompt.language")
    topic = serializers.CharField(source="prompt.topic")
    response_a = ItemResponseSerializer()
    response_b = ItemResponseSerializer()
    resolution = serializers.SerializerMethodField()

    class Meta:
        model = Comparison
        fields = (
            "id", "prompt_id", "messages", "group", "language", "topic", "response_a", "response_b", "state",
            "needed", "label_count", "skip_count", "priority", "priority_reason", "resolution", "created_at",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(ResolutionSerializer(allow_null=True))
    def get_resolution(self, comparison: Comparison) -> dict[str, Any] | None:
        resolution = getattr(comparison, "resolution", None)
        return None if resolution is None else dict(ResolutionSerializer(resolution).data)


COMPARISON_FILTERS = [
    OpenApiParameter("q", str, description="Text in prompt or responses."),
    OpenApiParameter("state", str, enum=ComparisonState.values),
    OpenApiParameter("outcome", str, enum=[*ResolvedOutcome.values, "none"]),
    OpenApiParameter("disputed", bool),
    OpenApiParameter("language", str),
    OpenApiParameter("topic", str),
]


@extend_schema_view(get=extend_schema(operation_id="comparisons_list", parameters=COMPARISON_FILTERS))
class ComparisonsView(generics.ListAPIView[Comparison]):
    """Comparisons with models and outcomes, newest first."""

    serializer_class = ComparisonSerializer
    queryset = Comparison.objects.none()

    def get_queryset(self) -> QuerySet[Comparison]:
        project = project_for(self.request.user, self.kwargs["slug"], Capability.VIEW)
        form = FilterForm(self.request.query_params)
        if not form.is_valid():
            raise ValidationError(
                {name: [str(text) for text in texts] for name, texts in form.errors.items()}
            )
        return comparisons_found(project, form.wanted())


class ComparisonView(APIView):
    @extend_schema(responses=ComparisonSerializer, operation_id="comparisons_get")
    def get(self, request: Request, slug: str, pk: int) -> Response:
        return Response(ComparisonSerializer(comparison_for(request.user, slug, pk)).data)
