"""REST of webhooks, for managers. A secret is in the answer that makes it, and in no other."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.views.decorators.debug import sensitive_variables
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.api.errors import Conflict
from webapp.outbound import Secret
from webapp.users.models import User
from webapp.webhooks.access import delivery_for, project_managed, webhook_for
from webapp.webhooks.models import Delivery, Webhook
from webapp.webhooks.selectors import deliveries_of, webhook_rows
from webapp.webhooks.services import (
    WebhookChange,
    WebhookStateError,
    delivery_retry,
    webhook_create,
    webhook_delete,
    webhook_rotate,
    webhook_test,
    webhook_update,
)


class WebhookSerializer(serializers.ModelSerializer):
    events = serializers.ListField(child=serializers.CharField())
    disabled_reason = serializers.CharField()

    class Meta:
        model = Webhook
        fields = [
            "uid",
            "name",
            "url",
            "events",
            "is_enabled",
            "disabled_reason",
            "failing_since",
            "created_at",
        ]
        read_only_fields = fields


class WebhookSecretSerializer(WebhookSerializer):
    secret = serializers.CharField()

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]
        read_only_fields = fields


class WebhookWriteSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=80)
    url = serializers.CharField(max_length=500)
    events = serializers.ListField(child=serializers.CharField(max_length=40), max_length=40)


class WebhookChangeSerializer(WebhookWriteSerializer):
    is_enabled = serializers.BooleanField(required=False)


class DeliverySerializer(serializers.ModelSerializer):
    """`event` is the name of its kind, `webhook_id` what the receiver gets under that name."""

    event = serializers.CharField(source="event.kind")
    webhook_id = serializers.CharField(source="event.message_id")
    state = serializers.CharField()
    error = serializers.CharField(source="last_error")
    created_at = serializers.DateTimeField(source="event.created_at")

    class Meta:
        model = Delivery
        fields = [
            "uid", "event", "webhook_id", "state", "attempts", "next_at", "last_at", "last_status", "error",
            "last_ms", "answer", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


def _person(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _checked(serializer: serializers.Serializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


@sensitive_variables()
def _with_secret(webhook: Webhook, secret: Secret) -> dict[str, Any]:
    return {**WebhookSerializer(webhook).data, "secret": secret.reveal()}


@extend_schema_view(get=extend_schema(operation_id="webhooks_list"))
class WebhooksView(generics.ListAPIView[Webhook]):
    """A project's webhooks, newest first."""

    serializer_class = WebhookSerializer
    queryset = Webhook.objects.none()

    def get_queryset(self) -> QuerySet[Webhook]:
        return webhook_rows(project_managed(self.request.user, self.kwargs["slug"]).pk)

    @extend_schema(
        request=WebhookWriteSerializer,
        responses={201: WebhookSecretSerializer},
        operation_id="webhooks_create",
    )
    @sensitive_variables()
    def post(self, request: Request, slug: str) -> Response:
        """A new webhook. Its secret is in this answer and in no other."""
        project = project_managed(request.user, slug)
        values = _checked(WebhookWriteSerializer(data=request.data))
        webhook, secret = webhook_create(project_id=project.pk, created_by=_person(request), **values)
        return Response(_with_secret(webhook, secret), status=status.HTTP_201_CREATED)


class WebhookView(APIView):
    @extend_schema(responses=WebhookSerializer, operation_id="webhooks_get")
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """One webhook. Its secret is told nowhere."""
        return Response(WebhookSerializer(webhook_for(request.user, slug, uid)[1]).data)

    @extend_schema(
        request=WebhookChangeSerializer, responses=WebhookSerializer, operation_id="webhooks_update"
    )
    def patch(self, request: Request, slug: str, uid: UUID) -> Response:
        """Change what is sent; `is_enabled` false cancels what waits."""
        _project, webhook = webhook_for(request.user, slug, uid)
        values = _checked(WebhookChangeSerializer(data=request.data, partial=True))
        webhook_update(webhook, WebhookChange(**values), actor=_person(request))
        return Response(WebhookSerializer(webhook).data)

    @extend_schema(responses={204: None}, operation_id="webhooks_delete")
    def delete(self, request: Request, slug: str, uid: UUID) -> Response:
        """Delete a webhook with its log."""
        webhook_delete(webhook_for(request.user, slug, uid)[1], actor=_person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class RotateView(APIView):
    @extend_schema(request=None, responses=WebhookSecretSerializer, operation_id="webhooks_rotate")
    @sensitive_variables()
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """A new secret, in this answer and in no other. For a day messages are signed with both."""
        _project, webhook = webhook_for(request.user, slug, uid)
        return Response(_with_secret(webhook, webhook_rotate(webhook, actor=_person(request))))


class TestView(APIView):
    @extend_schema(request=None, responses={202: DeliverySerializer}, operation_id="webhooks_test")
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """Send an event of the kind `webhook.test`. 409 while the webhook is switched off."""
        try:
            delivery = webhook_test(webhook_for(request.user, slug, uid)[1])
        except WebhookStateError as error:
            raise Conflict(str(error)) from None
        return Response(DeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED)


@extend_schema_view(get=extend_schema(operation_id="webhooks_deliveries_list"))
class DeliveriesView(generics.ListAPIView[Delivery]):
    """The log of a webhook, newest first: the last 30 days."""

    serializer_class = DeliverySerializer
    queryset = Delivery.objects.none()

    def get_queryset(self) -> QuerySet[Delivery]:
        _project, webhook = webhook_for(self.request.user, self.kwargs["slug"], self.kwargs["uid"])
        return deliveries_of(webhook)


class RetryView(APIView):
    @extend_schema(
        request=None, responses={202: DeliverySerializer}, operation_id="webhooks_deliveries_retry"
    )
    def post(self, request: Request, slug: str, uid: UUID, delivery: UUID) -> Response:
        """Send an event again, under its old id. 409 while it is being sent or the webhook is switched off."""
        try:
            again = delivery_retry(delivery_for(request.user, slug, uid, delivery))
        except WebhookStateError as error:
            raise Conflict(str(error)) from None
        return Response(DeliverySerializer(again).data, status=status.HTTP_202_ACCEPTED)
