"""Rewriting a response over REST, scope `label`: the label page's own services."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import assignment_for
from labeling.api.label import KEY_HEADER, LabelView, conflict, read_key
from labeling.models import PreferenceSource
from labeling.services.allocation import LabelingError
from labeling.services.rewriting import TEXT_MAX, rewrite_submit, rewrite_withdraw
from labeling.spans import SIDES


class SideSerializer(serializers.Serializer):
    """A response of the pair, by its side of the screen."""

    side = serializers.ChoiceField(choices=SIDES)


class RewriteSerializer(SideSerializer):
    text = serializers.CharField(max_length=TEXT_MAX, trim_whitespace=False)


class RewriteAssignment(LabelView):
    @extend_schema(
        request=RewriteSerializer,
        responses=inline_serializer("Rewritten", {"kept": serializers.BooleanField()}),
        parameters=[KEY_HEADER],
        operation_id="assignments_rewrite",
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Keep a better version of one of the two responses: a new response that beats its parent."""
        assignment, data = assignment_for(self.person, uid), self.body(RewriteSerializer)
        key = read_key(request)
        try:
            rewrite_submit(
                assignment=assignment,
                side=data["side"],
                text=data["text"],
                idempotency_key=key,
                source=PreferenceSource.API,
            )
        except LabelingError as error:
            raise conflict(error) from None
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        return Response({"kept": True})


class UndoRewrite(LabelView):
    @extend_schema(
        request=SideSerializer,
        responses=inline_serializer("RewriteUndone", {"kept": serializers.BooleanField()}),
        parameters=[KEY_HEADER],
        operation_id="assignments_rewrite_undo",
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Take a rewrite back, within ten seconds."""
        assignment, side = assignment_for(self.person, uid), self.body(SideSerializer)["side"]
        try:
            rewrite_withdraw(assignment=assignment, side=side, idempotency_key=read_key(request))
        except LabelingError as error:
            raise conflict(error) from None
        return Response({"kept": False})
