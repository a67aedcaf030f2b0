"""Quality over REST: agreement. Members who may VIEW, scope `read`."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, project_for
from labeling.selectors.agreement import project_agreement


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
