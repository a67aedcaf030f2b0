"""Quality over REST: agreement, reliabilities. Members who may VIEW, scope `read`."""

from __future__ import annotations

from typing import cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, project_for
from labeling.api.labelers import EstimateSerializer
from labeling.models import ResolutionRule
from labeling.selectors.agreement import project_agreement
from labeling.selectors.anchoring import project_anchoring
from labeling.selectors.reliability import newest_fit
from labeling.services.reliability import fit_start
from webapp.users.models import User


class MovesSerializer(serializers.Serializer):
    n = serializers.IntegerField()
    towards = serializers.IntegerField()
    away = serializers.IntegerField()


class AnchoringSerializer(serializers.Serializer):
    """Of `shown` votes whose labeler saw the other voices afterwards, the share that is another one now."""

    shown = serializers.IntegerField()
    changed = EstimateSerializer(allow_null=True)
    regraded = EstimateSerializer(allow_null=True)
    judges = MovesSerializer(allow_null=True)
    model = MovesSerializer(allow_null=True)


class AgreementSerializer(serializers.Serializer):
    """Figures are null while fewer than `minimum` comparisons have votes of two people."""

    comparisons = serializers.IntegerField()
    prompts = serializers.IntegerField()
    minimum = serializers.IntegerField()
    pairwise = EstimateSerializer(allow_null=True)
    alpha = EstimateSerializer(allow_null=True)
    alpha_ordinal = EstimateSerializer(allow_null=True)
    alpha_strength = EstimateSerializer(allow_null=True)
    fleiss = EstimateSerializer(allow_null=True)


class QualitySerializer(AgreementSerializer):
    anchoring = AnchoringSerializer()


class AgreementView(APIView):
    @extend_schema(responses=QualitySerializer, operation_id="agreement_get")
    def get(self, request: Request, slug: str) -> Response:
        """How far people agree with each other, now, with 95 % intervals clustered by prompt, and how often a vote
        changes once its labeler has seen the other voices."""
        project = project_for(request.user, slug, Capability.VIEW)
        anchoring = AnchoringSerializer(project_anchoring(project)).data
        data = {**AgreementSerializer(project_agreement(project)).data, "anchoring": anchoring}
        return Response(data, status=status.HTTP_200_OK)


class FitSerializer(serializers.Serializer):
    """`up_to`: no vote after this preference is in it."""

    up_to = serializers.IntegerField()
    preference_count = serializers.IntegerField()
    rows = serializers.IntegerField()
    prior = serializers.ListField(child=serializers.FloatField())
    iterations = serializers.IntegerField()
    log_likelihood = serializers.FloatField()
    job_uid = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()


class ReliabilitySerializer(serializers.Serializer):
    rule = serializers.ChoiceField(choices=ResolutionRule.choices)
    fit = FitSerializer(allow_null=True)


class FitRequest(serializers.Serializer):
    """`rule`: by which comparisons are settled from now on; left out, it stays as it is."""

    rule = serializers.ChoiceField(choices=ResolutionRule.choices, required=False)


class ReliabilityView(APIView):
    @extend_schema(responses=ReliabilitySerializer, operation_id="reliability_get")
    def get(self, request: Request, slug: str) -> Response:
        """The rule by which votes are settled, and the newest fit of the labelers' reliabilities. Each person's stand
        with the labelers."""
        project = project_for(request.user, slug, Capability.VIEW)
        state = {"rule": project.resolution_rule, "fit": newest_fit(project)}
        return Response(ReliabilitySerializer(state).data)

    @extend_schema(request=FitRequest, responses={202: OpenApiTypes.OBJECT}, operation_id="reliability_fit")
    def post(self, request: Request, slug: str) -> Response:
        """Fit them to all votes, and settle the comparisons anew by the rule; follow `job`. Managers, scope `write`."""
        project = project_for(request.user, slug, Capability.MANAGE)
        body = FitRequest(data=request.data)
        body.is_valid(raise_exception=True)
        job = fit_start(
            project=project, actor=cast(User, request.user), rule=body.validated_data.get("rule", "")
        )
        return Response({"job": str(job.uid)}, status=status.HTTP_202_ACCEPTED)
