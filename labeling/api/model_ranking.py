"""The ranking of the models that wrote the responses, over REST. Members who may VIEW, scope `read`."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, project_for
from labeling.api.labelers import EstimateSerializer
from labeling.snapshots import SnapshotError
from labeling.views.model_ranking import RankingForm
from webapp.api.errors import Conflict


class StandingSerializer(serializers.Serializer):
    rank = serializers.IntegerField()
    group = serializers.IntegerField()
    share = EstimateSerializer()
    elo = serializers.FloatField()
    only = serializers.CharField()


class VoiceRankingSerializer(serializers.Serializer):
    """`standings` by model; empty with fewer than `minimum` games."""

    kind = serializers.CharField()
    name = serializers.CharField()
    games = serializers.IntegerField()
    minimum = serializers.IntegerField()
    both_bad = serializers.IntegerField()
    groups = serializers.IntegerField()
    longer = EstimateSerializer(allow_null=True)
    standings = serializers.DictField(child=StandingSerializer())


class ModelRankingSerializer(serializers.Serializer):
    models = serializers.ListField(child=serializers.CharField())
    left_out = serializers.IntegerField()
    is_newest = serializers.BooleanField()
    controlled = serializers.BooleanField()
    voices = VoiceRankingSerializer(many=True)


class ModelRankingView(APIView):
    @extend_schema(
        operation_id="model_ranking_get",
        parameters=[
            OpenApiParameter("length_control", bool, description="Strengths at equal length."),
            OpenApiParameter("language", str),
            OpenApiParameter("topic", str),
            OpenApiParameter(
                "snapshot", int, description="By the labels of this snapshot, as they were then."
            ),
        ],
        responses=ModelRankingSerializer,
    )
    def get(self, request: Request, slug: str) -> Response:
        """Bradley–Terry strengths by people, each judge and the reward model, with 95 % intervals by prompt."""
        project = project_for(request.user, slug, Capability.VIEW)
        form = RankingForm(project, request.query_params)
        if not form.is_valid():
            raise serializers.ValidationError(
                {name: [str(text) for text in texts] for name, texts in form.errors.items()}
            )
        try:
            return Response(ModelRankingSerializer(form.ranking()).data)
        except SnapshotError as error:
            raise Conflict(str(error)) from None
