"""Rankings over REST, scope `label`. The ranking page's own services.

Responses are named by their position in `responses`: before the vote an answer holds what `RankingShown.to_json`
holds, and nothing else of the prompt (invariant 3).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Capability, labeler_for, project_for, ranking_for
from labeling.api.label import KEY_HEADER, LabelView, conflict, read_key
from labeling.api.label_serializers import TurnSerializer
from labeling.models import PreferenceSource, RankingTask
from labeling.ranks import MAX_SHOWN, read_ranking_draft
from labeling.scheme import SKIP_REASONS
from labeling.selectors.ranking import ranking_saved, ranking_shown
from labeling.services.allocation import LabelingError
from labeling.services.ranked import ranking_skip, ranking_submit, ranking_undo
from labeling.services.ranking import ranking_draft_save, ranking_next, ranking_opened, ranking_renew
from labeling.submission import DURATION_MAX_MS, RATIONALE_MAX


class PlacesField(serializers.ListField):
    child = serializers.IntegerField(allow_null=True, min_value=1, max_value=MAX_SHOWN)


class RankingDraftSerializer(serializers.Serializer):
    places = PlacesField(required=False)
    rationale = serializers.CharField(required=False, allow_blank=True)


class RankingShownSerializer(serializers.Serializer):
    """A leased ranking: what a labeler may see of it."""

    ranking = serializers.UUIDField()
    messages = TurnSerializer(many=True)
    responses = serializers.ListField(child=serializers.CharField())
    draft = RankingDraftSerializer()
    lease_expires_at = serializers.DateTimeField()


class RankingAnswerSerializer(serializers.Serializer):
    """One place for each of `responses`, 1 the best, equal ones tie, null: not said. At least two are needed."""

    places = PlacesField()
    rationale = serializers.CharField(required=False, allow_blank=True, max_length=RATIONALE_MAX)
    duration_ms = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=DURATION_MAX_MS
    )


class RankingSavedSerializer(serializers.Serializer):
    """Positions count from 0. `written` is the number of preferences; `left_out` names the pairs that others have
    finished meanwhile."""

    uid = serializers.UUIDField()
    tiers = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))
    unranked = serializers.ListField(child=serializers.IntegerField())
    written = serializers.IntegerField()
    left_out = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))


class SkipSerializer(serializers.Serializer):
    skip_reason = serializers.ChoiceField(choices=tuple(SKIP_REASONS))


class RankingView(LabelView):
    def own(self, uid: UUID) -> RankingTask:
        return ranking_for(self.person, uid)


class NextRanking(RankingView):
    @extend_schema(
        request=None,
        responses=inline_serializer("NextRankingAnswer", {"result": RankingShownSerializer(allow_null=True)}),
        operation_id="rankings_next",
    )
    def post(self, request: Request, slug: str) -> Response:
        """Lease three to eight responses to a prompt, or get those already leased. Null: nothing is left to rank."""
        project = project_for(self.person, slug, Capability.LABEL)
        try:
            task = ranking_next(labeler_for(self.person, project))
        except LabelingError as error:
            raise conflict(error) from None
        if task is not None:
            ranking_opened(task)
        return Response({"result": ranking_shown(task).to_json() if task is not None else None})


class SubmitRanking(RankingView):
    @extend_schema(
        request=RankingAnswerSerializer,
        responses=RankingSavedSerializer,
        parameters=[KEY_HEADER],
        operation_id="rankings_submit",
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Give the order: all pairs of ranked responses are written as preferences, in one transaction."""
        task, data = self.own(uid), self.body(RankingAnswerSerializer)
        try:
            row = ranking_submit(
                task=task, data=data, idempotency_key=read_key(request), source=PreferenceSource.API
            )
        except LabelingError as error:
            raise conflict(error) from None
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        return Response(RankingSavedSerializer(ranking_saved(row, task.order)).data)


class SkipRanking(RankingView):
    @extend_schema(
        request=SkipSerializer,
        responses=inline_serializer("RankingSkipped", {"skipped": serializers.BooleanField()}),
        parameters=[KEY_HEADER],
        operation_id="rankings_skip",
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Skip the prompt: each of its pairs in hand counts one skip."""
        task, reason = self.own(uid), self.body(SkipSerializer)["skip_reason"]
        key = read_key(request)
        try:
            ranking_skip(task=task, reason=reason, idempotency_key=key, source=PreferenceSource.API)
        except LabelingError as error:
            raise conflict(error) from None
        return Response({"skipped": True})


class UndoRanking(RankingView):
    @extend_schema(
        request=None,
        responses=RankingShownSerializer,
        parameters=[KEY_HEADER],
        operation_id="rankings_undo",
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Withdraw the ranking or skip just made, within ten seconds. Its pairs are leased again."""
        try:
            task = ranking_undo(task=self.own(uid), idempotency_key=read_key(request))
        except LabelingError as error:
            raise conflict(error) from None
        return Response(ranking_shown(task).to_json())


class DraftRanking(RankingView):
    @extend_schema(
        request=RankingDraftSerializer,
        responses=inline_serializer(
            "RankingDraftKept", {"kept": serializers.BooleanField(), "held": serializers.BooleanField()}
        ),
        operation_id="rankings_draft",
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Keep an unfinished ranking, and renew its leases. `held` is false when they have gone back to the queue."""
        task, data = self.own(uid), dict[str, Any](self.body(RankingDraftSerializer))
        kept = ranking_draft_save(task=task, draft=read_ranking_draft(data, len(task.order)))
        return Response({"kept": kept, "held": ranking_renew(task)})
