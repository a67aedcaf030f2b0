"""Reading a project over REST: projects and preferences. Members who may VIEW, scope `read`."""

from __future__ import annotations

from typing import Any, cast

from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import (
    Capability,
    may,
    project_for,
    projects_of,
    review_comparison_for,
    role_of,
)
from labeling.models import Membership, Preference, Project, Role
from labeling.scheme import RULES, SCREENS, WHY_CASES, read_scheme
from labeling.selectors.preferences import latest_revisions
from labeling.selectors.progress import project_progress
from labeling.selectors.reveals import out_of_hand
from labeling.services.projects import project_create
from webapp.users.models import User


class AspectSerializer(serializers.Serializer):
    key = serializers.CharField()
    name = serializers.CharField()
    steps = serializers.IntegerField()


class SchemeSerializer(serializers.Serializer):
    """What an answer may and must say."""

    allow_tie = serializers.BooleanField()
    allow_both_bad = serializers.BooleanField()
    steps = serializers.IntegerField(
        help_text="Steps of the bar: 1 is left much better, the last right much better."
    )
    aspects = AspectSerializer(many=True)
    reasons = serializers.ListField(child=serializers.CharField())
    reasons_rule = serializers.ChoiceField(choices=RULES)
    rationale = serializers.ChoiceField(choices=("off", *RULES))
    ask_when = serializers.ListField(child=serializers.ChoiceField(choices=list(WHY_CASES)))
    screen = serializers.ChoiceField(choices=SCREENS)
    rewrites = serializers.BooleanField()
    spans = serializers.BooleanField()


class ProjectSerializer(serializers.ModelSerializer):
    role = serializers.SerializerMethodField()
    scheme = serializers.SerializerMethodField()

    class Meta:
        model = Project
        fields = (
            "name", "slug", "description", "guidelines", "overlap", "random_share", "lease_s", "skip_limit",
            "reveal_after_vote", "is_paused", "scheme", "created_at", "role",
        )  # fmt: skip
        read_only_fields = ("created_at",)

    @extend_schema_field(SchemeSerializer)
    def get_scheme(self, project: Project) -> dict[str, Any]:
        return read_scheme(project.scheme).to_json()

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


class LabelerField(serializers.Serializer):
    uid = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.CharField()


class StoredSpan(serializers.Serializer):
    """A marked passage: a run of the response as it is shown, and which occurrence of it is meant."""

    response = serializers.IntegerField()
    quote = serializers.CharField()
    nth = serializers.IntegerField()
    reason = serializers.CharField()


class PreferenceSerializer(serializers.ModelSerializer):
    comparison = serializers.IntegerField(source="comparison_id")
    labeler = LabelerField()
    shown_left = serializers.IntegerField(source="shown_left_id", allow_null=True)
    ranking = serializers.UUIDField(source="ranking.uid", allow_null=True, default=None)
    spans = serializers.ListField(child=StoredSpan(), allow_null=True)
    aspect_strengths = serializers.DictField(child=serializers.IntegerField(), allow_null=True)

    class Meta:
        model = Preference
        fields = (
            "id", "uid", "comparison", "labeler", "revision", "outcome", "strength", "aspects",
            "aspect_strengths", "reasons", "spans", "skip_reason", "rationale", "ranking", "shown_left",
            "duration_ms", "after_reveal", "source", "created_at",
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
    """Preferences, every revision of them, newest first; none with a response that the caller is labeling. That the
    caller was shown those of one comparison is recorded."""

    serializer_class = PreferenceSerializer
    queryset = Preference.objects.none()

    def get_queryset(self) -> QuerySet[Preference]:
        project = project_for(self.request.user, self.kwargs["slug"], Capability.VIEW)
        query = PreferenceQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        wanted = query.validated_data
        found = Preference.objects.filter(project=project).select_related("labeler", "ranking")
        if wanted["latest"]:
            found = latest_revisions(found).exclude(outcome__in=["skip", "withdrawn"])
        if "comparison" in wanted:
            one = review_comparison_for(
                self.request.user, project.slug, wanted["comparison"], Capability.VIEW
            )
            found = found.filter(comparison=one)
        else:
            found = found.filter(out_of_hand(cast(User, self.request.user), project))
        if "labeler" in wanted:
            found = found.filter(labeler__uid=wanted["labeler"])
        if "above" in wanted:
            found = found.filter(pk__gt=wanted["above"])
        return found
