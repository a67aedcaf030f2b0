"""REST of one's own notices."""

from __future__ import annotations

from typing import cast

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.notices.models import Notice
from webapp.notices.selectors import notices_of
from webapp.notices.services import notices_read
from webapp.users.models import User


class NoticeSerializer(serializers.ModelSerializer):
    text = serializers.CharField()
    project = serializers.IntegerField(source="project_id", allow_null=True)

    class Meta:
        model = Notice
        fields = ["id", "kind", "text", "url", "project", "created_at", "read_at"]
        read_only_fields = fields


class ReadSerializer(serializers.Serializer):
    read = serializers.IntegerField()


@extend_schema_view(get=extend_schema(operation_id="notices_list"))
class NoticesView(generics.ListAPIView[Notice]):
    """What the app told you, newest first: the last 90 days."""

    serializer_class = NoticeSerializer
    queryset = Notice.objects.none()

    def get_queryset(self) -> QuerySet[Notice]:
        return notices_of(cast(User, self.request.user))


class NoticesReadView(APIView):
    @extend_schema(request=None, responses=ReadSerializer, operation_id="notices_read")
    def post(self, request: Request) -> Response:
        """Everything counts as read. Says how many notices were not."""
        return Response({"read": notices_read(cast(User, request.user))})
