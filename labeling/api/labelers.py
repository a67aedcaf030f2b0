"""Labelers over REST: figures and reliabilities of everybody for members who may VIEW, of themselves for labelers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, labeler_seen, own_labeler_seen, project_for
from labeling.models import Labeler, Project
from labeling.selectors.labelers import Figures, figures_of_one, labeler_figures
from labeling.selectors.own_statistics import own_statistics
from labeling.selectors.reliability import Person, newest_fit, people_of


class EstimateSerializer(serializers.Serializer):
    value = serializers.FloatField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()


class WindowSerializer(serializers.Serializer):
    n = serializers.IntegerField()
    agreement = EstimateSerializer(allow_null=True)
    left = EstimateSerializer(allow_null=True)
    seconds = serializers.FloatField(allow_null=True)


class OwnFiguresSerializer(serializers.Serializer):
    """Of what the person said last before seeing what others say, rewrites left out. `rate`: answers an hour of work, a
    ranking being one; `seconds`: median time of a vote; `left`, `longer`: shares of decided votes."""

    labels = serializers.IntegerField()
    rate = serializers.FloatField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True)
    left = EstimateSerializer(allow_null=True)
    longer = EstimateSerializer(allow_null=True)


class FiguresSerializer(OwnFiguresSerializer):
    others = EstimateSerializer(allow_null=True)
    gold = EstimateSerializer(allow_null=True)
    decline = serializers.DateTimeField(allow_null=True)


class ReliabilityPersonSerializer(serializers.Serializer):
    """By the newest fit. `confusion`: rows what is true, columns what the person says: a, b, tie, both_bad."""

    n = serializers.IntegerField()
    accuracy = serializers.FloatField()
    weight = serializers.FloatField()
    confusion = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()), source="right"
    )


class LabelerSerializer(serializers.ModelSerializer):
    figures = serializers.SerializerMethodField()
    reliability = serializers.SerializerMethodField()

    class Meta:
        model = Labeler
        fields = ("uid", "name", "kind", "created_at", "figures", "reliability")
        read_only_fields = fields

    @extend_schema_field(FiguresSerializer)
    def get_figures(self, labeler: Labeler) -> dict[str, Any]:
        return dict(FiguresSerializer(self.context["figures"].get(labeler.pk, Figures())).data)

    @extend_schema_field(ReliabilityPersonSerializer(allow_null=True))
    def get_reliability(self, labeler: Labeler) -> dict[str, Any] | None:
        person: Person | None = self.context["people"].get(labeler.pk)
        return None if person is None else dict(ReliabilityPersonSerializer(person).data)


class LabelerDetailSerializer(LabelerSerializer):
    windows = serializers.SerializerMethodField()

    class Meta(LabelerSerializer.Meta):
        fields = (*LabelerSerializer.Meta.fields, "windows")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]

    @extend_schema_field(WindowSerializer(many=True))
    def get_windows(self, labeler: Labeler) -> list[dict[str, Any]]:
        """Runs of fifty votes, in their order."""
        figures: Figures = self.context["figures"].get(labeler.pk, Figures())
        return [{"from": at, **WindowSerializer(window).data} for at, window in figures.windows]


def _reliabilities(project: Project) -> dict[int, Person]:
    fit = newest_fit(project)
    return {person.labeler.pk: person for person in (people_of(fit) if fit else [])}


@extend_schema_view(get=extend_schema(operation_id="labelers_list"))
class LabelersView(generics.ListAPIView[Labeler]):
    """Everybody whose preferences the project holds or may hold, newest first, with figures."""

    serializer_class = LabelerSerializer
    queryset = Labeler.objects.none()

    def get_queryset(self) -> QuerySet[Labeler]:
        self.project = project_for(self.request.user, self.kwargs["slug"], Capability.VIEW)
        return Labeler.objects.filter(project=self.project)

    def get_serializer_context(self) -> dict[str, Any]:
        context = dict(super().get_serializer_context())
        if hasattr(self, "project"):
            context["figures"] = labeler_figures(self.project)
            context["people"] = _reliabilities(self.project)
        return context


class LabelerView(APIView):
    @extend_schema(responses=LabelerDetailSerializer, operation_id="labelers_get")
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """One labeler, with the figures of every fifty votes."""
        labeler = labeler_seen(request.user, slug, uid)
        known = {"figures": {labeler.pk: figures_of_one(labeler)}, "people": _reliabilities(labeler.project)}
        return Response(LabelerDetailSerializer(labeler, context=known).data)


class DaySerializer(serializers.Serializer):
    day = serializers.DateField()
    labels = serializers.IntegerField()


class ShareSerializer(serializers.Serializer):
    percent = serializers.IntegerField(allow_null=True)
    n = serializers.IntegerField()


class GoldShareSerializer(ShareSerializer):
    n = serializers.IntegerField(allow_null=True)


class CheckedSerializer(serializers.Serializer):
    """As of last midnight, in whole percent; null with fewer than 20 votes, and then how many known outcomes there were
    is, too."""

    others = ShareSerializer()
    gold = GoldShareSerializer()


class OwnStatisticsSerializer(serializers.Serializer):
    figures = OwnFiguresSerializer()
    skips = serializers.IntegerField()
    days = serializers.SerializerMethodField()
    checked = CheckedSerializer()

    @extend_schema_field(DaySerializer(many=True))
    def get_days(self, statistics: Any) -> list[dict[str, Any]]:
        return [{"day": day, "labels": labels} for day, labels in statistics.days]


class OwnStatisticsView(APIView):
    @extend_schema(responses=OwnStatisticsSerializer, operation_id="labelers_me")
    def get(self, request: Request, slug: str) -> Response:
        """The caller's own work. Those who may LABEL, scope `read`."""
        _project, labeler = own_labeler_seen(request.user, slug)
        return Response(OwnStatisticsSerializer(own_statistics(labeler)).data)
