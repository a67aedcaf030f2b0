"""REST of a reward model's scores as a file."""

from __future__ import annotations

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from labeling.api.snapshots import FirstRenderer
from workers.access import model_for
from workers.score_files import MEDIA_TYPE, scores_response


class ScoresFileView(APIView):
    content_negotiation_class = FirstRenderer

    @extend_schema(
        operation_id="reward_models_scores_file",
        responses={
            (200, MEDIA_TYPE): OpenApiResponse(OpenApiTypes.BINARY, description="Parquet, a row a response.")
        },
    )
    def get(self, request: Request, slug: str, number: int) -> HttpResponseBase:
        """Every score of this model, streamed as Parquet."""
        return scores_response(model_for(request.user, slug, number))
