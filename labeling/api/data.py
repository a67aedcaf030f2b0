"""Reading a project over REST: projects, comparisons, preferences, agreement. Members who may VIEW, scope
`read`.
"""

from __future__ import annotations

from typing import Any, cast

from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import generics, serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, comparison_for, may, project_for, projects_of, role_of
from labeling.models import (
    Comparison,
    ComparisonState,
    Membership,
    Preference,
    Project,
    ResolvedOutcome,
    Role,
)
from labeling.selectors.agreement import project_agreement
from labeling.selectors.comparisons import comparisons_found
from labeling.selectors.preferences import latest_revisions
from labeling.selectors.progress import project_progress
from labeling.services.projects import project_create
from labeling.views.comparisons import FilterForm
from webapp.users.models import User


class ProjectSerializer(serializers.ModelSerializer):
    role = serializers.SerializerMethodField()

    class Meta:
        model = Project
        fields = (
            "name", "slug", "description", "guidelines", "overlap", "random_share", "lease_s", "skip_limit",
            "reveal_after_vote", "is_paused", "created_at", "role",
        )  # fmt: skip
        read_only_fields = ("created_at",)

    def get_role(self, project: Project) -> str | None:
        user = self.context["request"].user
        known = getattr(project, "own_role", None)  # the list brings it along, in one query for all
        return Role.MANAGER if user.is_superuser else known or role_of(user, project)


class ProgressSerializer(serializers.Serializer):
    total = serializers.IntegerField()
    open = serializers.IntegerField()
    done = serializers.IntegerField()
    review = serializers.IntegerField()
    retired = serializers.IntegerField()
    labels = serializers.IntegerField()
    labels_today = serializers.IntegerField()
    skipped = serializers.IntegerField()
    disputed = serializers.IntegerField()


class ProjectDetailSerializer(ProjectSerializer):
    progress = serializers.SerializerMethodField()

    class Meta(ProjectSerializer.Meta):
        fields = (*ProjectSerializer.Meta.fields, "progress")  # type: ignore[assignment]

    @extend_schema_field(ProgressSerializer(allow_null=True))
    def get_progress(self, project: Project) -> dict[str, Any] | None:
        """Counts; null for labelers, who see only their own."""
        if not may(self.context["request"].user, project, Capability.VIEW):
            return None
        return vars(project_progress(project))


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


class LabelerField(serializers.Serializer):
    uid = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.CharField()


class PreferenceSerializer(serializers.ModelSerializer):
    comparison = serializers.IntegerField(source="comparison_id")
    labeler = LabelerField()
    shown_left = serializers.IntegerField(source="shown_left_id", allow_null=True)

    class Meta:
        model = Preference
        fields = (
            "id", "uid", "comparison", "labeler", "revision", "outcome", "strength", "aspects", "reasons",
            "skip_reason", "rationale", "shown_left", "duration_ms", "after_reveal", "source", "created_at",
        )  # fmt: skip
        read_only_fields = fields


@extend_schema_view(
    get=extend_schema(operation_id="projects_list"), post=extend_schema(operation_id="projects_create")
)
class ProjectsView(generics.ListCreateAPIView[Project]):
    """Projects of which the person is a member, newest first; POST starts one."""

    serializer_class = ProjectSerializer

    def get_queryset(self) -> QuerySet[Project]:
        own = Membership.objects.filter(project=OuterRef("pk"), user=cast(User, self.request.user))
        return projects_of(self.request.user).annotate(own_role=Subquery(own.values("role")[:1]))

    def perform_create(self, serializer: serializers.BaseSerializer[Project]) -> None:
        user = cast(User, self.request.user)
        if not (user.is_staff or projects_of(user, Capability.MANAGE).exists()):
            raise PermissionDenied(_("Only managers and operators start projects. Ask one of them."))
        serializer.instance = project_create(created_by=user, **serializer.validated_data)


class ProjectView(APIView):
    @extend_schema(responses=ProjectDetailSerializer, operation_id="projects_get")
    def get(self, request: Request, slug: str) -> Response:
        """One project, with its counts for those who may see them."""
        project = project_for(request.user, slug, Capability.ENTER)
        return Response(ProjectDetailSerializer(project, context={"request": request}).data)


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


MAX_ID = (
    2**63 - 1
)  # what the database's keys hold; SQLite and PostgreSQL refuse a larger number with an error


class PreferenceQuery(serializers.Serializer):
    """`latest`: only what stands now, without undone ones and skips."""

    latest = serializers.BooleanField(default=False)
    comparison = serializers.IntegerField(required=False, min_value=1, max_value=MAX_ID)
    labeler = serializers.UUIDField(required=False)
    above = serializers.IntegerField(required=False, min_value=0, help_text="Only ids above this one.")


@extend_schema_view(get=extend_schema(operation_id="preferences_list", parameters=[PreferenceQuery]))
class PreferencesView(generics.ListAPIView[Preference]):
    """Preferences, every revision of them, newest first."""

    serializer_class = PreferenceSerializer
    queryset = Preference.objects.none()

    def get_queryset(self) -> QuerySet[Preference]:
        project = project_for(self.request.user, self.kwargs["slug"], Capability.VIEW)
        query = PreferenceQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        wanted = query.validated_data
        found = Preference.objects.filter(project=project).select_related("labeler")
        if wanted["latest"]:
            found = latest_revisions(found).exclude(outcome__in=["skip", "withdrawn"])
        if "comparison" in wanted:
            found = found.filter(comparison_id=wanted["comparison"])
        if "labeler" in wanted:
            found = found.filter(labeler__uid=wanted["labeler"])
        if "above" in wanted:
            found = found.filter(pk__gt=wanted["above"])
        return found


class EstimateSerializer(serializers.Serializer):
    value = serializers.FloatField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()


class AgreementSerializer(serializers.Serializer):
    """Figures are null while fewer than `minimum` comparisons have votes of two people."""

    comparisons = serializers.IntegerField()
    prompts = serializers.IntegerField()
    minimum = serializers.IntegerField()
    pairwise = EstimateSerializer(allow_null=True)
    alpha = EstimateSerializer(allow_null=True)
    alpha_ordinal = EstimateSerializer(allow_null=True)
    fleiss = EstimateSerializer(allow_null=True)


class AgreementView(APIView):
    @extend_schema(responses=AgreementSerializer, operation_id="agreement_get")
    def get(self, request: Request, slug: str) -> Response:
        """How far people agree with each other, now, with 95 % intervals clustered by prompt."""
        project = project_for(request.user, slug, Capability.VIEW)
        return Response(AgreementSerializer(project_agreement(project)).data, status=status.HTTP_200_OK)
