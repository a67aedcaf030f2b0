"""REST of training runs, reward models, scores and the retrain policy."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, may, project_for, review_comparison_for, snapshot_for
from labeling.models import Project
from labeling.selectors.reveals import responses_in_hand
from labeling.selectors.staleness import revisions_of
from webapp.api.errors import Conflict
from webapp.api.pagination import IdCursorPagination
from webapp.users.models import User
from workers.access import model_for, run_for
from workers.api.serializers import (
    OpinionSerializer,
    PolicySerializer,
    RewardModelDetailSerializer,
    RewardModelSerializer,
    ScoreSerializer,
    StartSerializer,
    TrainingRunDetailSerializer,
    TrainingRunSerializer,
)
from workers.errors import BadTrainingConfig, NotEnoughLabels, PromotionRefused, TrainingBusy
from workers.models import RetrainPolicy, RewardModel, Score
from workers.selectors.models import champion_of, versions
from workers.selectors.policies import new_labels, next_due
from workers.selectors.runs import runs
from workers.selectors.scores import comparison_opinions
from workers.services.gate import model_promote, model_rollback
from workers.services.policies import policy_save
from workers.services.scoring import scoring_start
from workers.services.training import training_start


def person(request: Request) -> User:
    assert isinstance(request.user, User)
    return request.user


def paged(
    view: APIView,
    request: Request,
    rows: QuerySet[Any],
    serializer: type[serializers.Serializer],
    **context: Any,
) -> Response:
    paginator = IdCursorPagination()
    page = paginator.paginate_queryset(rows, request, view=view)
    return paginator.get_paginated_response(serializer(page, many=True, context=context).data)


class TrainingRunsView(APIView):
    @extend_schema(responses=TrainingRunSerializer(many=True), operation_id="training_runs_list")
    def get(self, request: Request, slug: str) -> Response:
        """Training runs, newest first."""
        project = project_for(person(request), slug, Capability.VIEW)
        return paged(self, request, runs(project), TrainingRunSerializer, revisions=revisions_of(project))

    @extend_schema(request=StartSerializer, responses={201: TrainingRunSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Start a run. 409 while another one is under way or there are too few labels."""
        project = project_for(person(request), slug, Capability.MANAGE)
        reader = StartSerializer(data=request.data)
        reader.is_valid(raise_exception=True)
        values = dict(reader.validated_data)
        number = values.pop("snapshot", None)
        snapshot = snapshot_for(person(request), slug, number, Capability.MANAGE) if number else None
        if snapshot is not None and snapshot.state != "ready":
            raise Conflict(_("Snapshot %(snapshot)s is not ready.") % {"snapshot": snapshot})
        try:
            run = training_start(project=project, snapshot=snapshot, created_by=person(request), **values)
        except BadTrainingConfig as error:
            raise serializers.ValidationError({"config": [str(error)]}) from error
        except (TrainingBusy, NotEnoughLabels) as error:
            raise Conflict(str(error)) from error
        return Response(TrainingRunSerializer(run).data, status=status.HTTP_201_CREATED)


class TrainingRunView(APIView):
    @extend_schema(responses=TrainingRunDetailSerializer)
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """One training run, with its live figures by step."""
        return Response(TrainingRunDetailSerializer(run_for(person(request), slug, pk)).data)


class RewardModelsView(APIView):
    @extend_schema(responses=RewardModelSerializer(many=True), operation_id="reward_models_list")
    def get(self, request: Request, slug: str) -> Response:
        """Reward models, newest first."""
        project = project_for(person(request), slug, Capability.VIEW)
        return paged(self, request, versions(project), RewardModelSerializer, revisions=revisions_of(project))


class RewardModelView(APIView):
    @extend_schema(responses=RewardModelDetailSerializer)
    def get(self, request: Request, slug: str, number: int) -> Response:
        """One reward model: where it comes from, its evaluations, and what the gate decided."""
        model = model_for(person(request), slug, number)
        context = {"names": may(person(request), model.project, Capability.MANAGE)}
        return Response(RewardModelDetailSerializer(model, context=context).data)


def crowned(model: RewardModel, user: User) -> Response:
    """The new champion, and the job that re-orders the queue by it."""
    job = scoring_start(project=model.project, created_by=user)
    model.refresh_from_db()
    data = RewardModelSerializer(model).data
    return Response({"reward_model": data, "job": str(job.uid) if job else None})


class PromoteView(APIView):
    @extend_schema(request=None, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Make this model champion by hand, whatever the gate said."""
        model = model_for(person(request), slug, number, Capability.MANAGE)
        try:
            model_promote(model=model, user=person(request))
        except PromotionRefused as error:
            raise Conflict(str(error)) from error
        return crowned(model, person(request))


class RollbackView(APIView):
    @extend_schema(request=None, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, slug: str) -> Response:
        """Bring back the champion before the present one."""
        project = project_for(person(request), slug, Capability.MANAGE)
        try:
            decision = model_rollback(project=project, user=person(request))
        except PromotionRefused as error:
            raise Conflict(str(error)) from error
        return crowned(decision.candidate, person(request))


def asked_number(request: Request, name: str) -> int | None:
    """A positive whole number from the query, None when absent. Raises ValidationError."""
    raw = request.query_params.get(name)
    if raw is None:
        return None
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 18):
        raise serializers.ValidationError({name: [_("Write a whole number.")]})
    return int(raw)


class ScoresView(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("model", int, description="Version; the champion if left out."),
            OpenApiParameter("response", int, description="Only this response."),
            OpenApiParameter("comparison", int, description="Both responses of this comparison."),
        ],
        responses=ScoreSerializer(many=True),
        operation_id="scores_list",
    )
    def get(self, request: Request, slug: str) -> Response:
        """Scores of a model, newest first; none of a response that the caller is labeling."""
        project = project_for(person(request), slug, Capability.VIEW)
        rows = Score.objects.filter(reward_model=self.model(request, project)).select_related("reward_model")
        rows = rows.exclude(response_id__in=responses_in_hand(person(request), project))
        response, comparison = asked_number(request, "response"), asked_number(request, "comparison")
        if response is not None:
            rows = rows.filter(response_id=response)
        if comparison is not None:
            found = review_comparison_for(person(request), slug, comparison, Capability.VIEW)
            rows = rows.filter(response_id__in=[found.response_a_id, found.response_b_id])
        return paged(self, request, rows, ScoreSerializer)

    @staticmethod
    def model(request: Request, project: Project) -> RewardModel:
        """The model asked for, or the champion. Raises NotFound."""
        number = asked_number(request, "model")
        if number is not None:
            return model_for(person(request), project.slug, number)
        champion = champion_of(project)
        if champion is None:
            raise NotFound(_("This project has no champion yet."))
        return champion


class OpinionView(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("model", int, description="Version; the champion if left out.")],
        responses=OpinionSerializer,
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """P(a ≻ b) of a reward model for one comparison."""
        comparison = review_comparison_for(person(request), slug, pk, Capability.VIEW)
        model = ScoresView.model(request, comparison.project)
        opinion = comparison_opinions(model, [pk]).get(pk)
        if opinion is None:
            raise NotFound(_("This model has not scored both responses."))
        data = {"comparison": pk, "reward_model": model.number, **asdict(opinion)}
        return Response(OpinionSerializer(data).data)


class RescoreView(APIView):
    @extend_schema(request=None, responses={202: OpenApiTypes.OBJECT})
    def post(self, request: Request, slug: str) -> Response:
        """Score what the champion has not scored yet, and re-order the queue."""
        project = project_for(person(request), slug, Capability.MANAGE)
        job = scoring_start(project=project, created_by=person(request))
        if job is None:
            raise Conflict(_("There is no champion to score with yet. Train a model first."))
        return Response({"job": str(job.uid)}, status=status.HTTP_202_ACCEPTED)


class PolicyView(APIView):
    @extend_schema(responses=PolicySerializer)
    def get(self, request: Request, slug: str) -> Response:
        """When a new model is trained by itself, and how far that is."""
        project = project_for(person(request), slug, Capability.MANAGE)
        policy = RetrainPolicy.objects.filter(project=project).first() or RetrainPolicy(project=project)
        return Response(self.data(policy))

    @extend_schema(request=PolicySerializer, responses=PolicySerializer)
    def put(self, request: Request, slug: str) -> Response:
        """Set the policy; what is left out keeps its value."""
        project = project_for(person(request), slug, Capability.MANAGE)
        reader = PolicySerializer(data=request.data, partial=True)
        reader.is_valid(raise_exception=True)
        before = RetrainPolicy.objects.filter(project=project).first() or RetrainPolicy(project=project)
        names = ("is_enabled", "every_n_labels", "cron", "kind", "config", "snapshot_config")
        values = {name: getattr(before, name) for name in names} | dict(reader.validated_data)
        policy = policy_save(project=project, values=values, user=person(request))
        return Response(self.data(policy))

    @staticmethod
    def data(policy: RetrainPolicy) -> dict[str, Any]:
        """The policy with how far it is from its next run. One that was never saved counts nothing."""
        policy.new_labels = new_labels(policy).count if policy.pk else 0  # type: ignore[attr-defined]
        policy.next_due = next_due(policy)  # type: ignore[attr-defined]
        return PolicySerializer(policy).data
