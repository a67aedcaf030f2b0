"""A comparison's comments and history over REST. Members who may VIEW read; who may REVIEW write comments."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, comment_for, project_for, review_comparison_for
from labeling.api.review import person
from labeling.models import Comment
from labeling.selectors.history import comments_of, history_of
from labeling.services.comments import TEXT_MAX, comment_create, comment_delete


class CommentSerializer(serializers.ModelSerializer):
    author = serializers.SerializerMethodField()
    mentions = serializers.SerializerMethodField()

    class Meta:
        model = Comment
        fields = ("uid", "author", "text", "mentions", "created_at", "deleted_at")
        read_only_fields = fields

    def get_author(self, comment: Comment) -> str:
        return "" if comment.author is None else str(comment.author)

    def get_mentions(self, comment: Comment) -> list[str]:
        return [mention.user.username for mention in comment.mentions.all()]


class CommentListSerializer(serializers.Serializer):
    results = CommentSerializer(many=True)


class CommentTextSerializer(serializers.Serializer):
    text = serializers.CharField(max_length=TEXT_MAX)


class CommentsView(APIView):
    @extend_schema(operation_id="comments_list", responses=CommentListSerializer)
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """What is said about a comparison, oldest first."""
        comparison = review_comparison_for(request.user, slug, pk, Capability.VIEW)
        return Response({"results": CommentSerializer(comments_of(comparison), many=True).data})

    @extend_schema(
        operation_id="comments_create", request=CommentTextSerializer, responses={201: CommentSerializer}
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """A comment; `@account` tells a member who may see others' voices."""
        comparison = review_comparison_for(request.user, slug, pk)
        said = CommentTextSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        comment = comment_create(comparison=comparison, author=person(request), **said.validated_data)
        return Response(CommentSerializer(comment).data, status=status.HTTP_201_CREATED)


class CommentView(APIView):
    @extend_schema(operation_id="comments_delete", responses={204: None})
    def delete(self, request: Request, slug: str, uid: UUID) -> Response:
        """Empty a comment: the own one, or any for managers."""
        project = project_for(request.user, slug, Capability.REVIEW)
        comment_delete(comment=comment_for(request.user, project, uid))
        return Response(status=status.HTTP_204_NO_CONTENT)


class EventSerializer(serializers.Serializer):
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    person = serializers.CharField()
    outcome = serializers.CharField()
    strength = serializers.IntegerField(allow_null=True)
    left = serializers.CharField()
    seconds = serializers.FloatField(allow_null=True)
    after_reveal = serializers.BooleanField()
    text = serializers.CharField()
    more = serializers.IntegerField()
    to = serializers.CharField()
    people = serializers.ListField(
        child=serializers.CharField(), help_text="To whom it was sent back by name."
    )
    ranked = serializers.IntegerField(help_text="Of a ranking: how many responses got a place.")
    place_a = serializers.IntegerField(allow_null=True)
    place_b = serializers.IntegerField(allow_null=True)
    letter = serializers.CharField(help_text="Of a rewrite: the response that was rewritten.")
    pair = serializers.IntegerField(
        allow_null=True, help_text="The comparison of the response with its rewrite."
    )
    value = serializers.FloatField(allow_null=True)
    before = serializers.FloatField(allow_null=True)


class HistorySerializer(serializers.Serializer):
    results = EventSerializer(many=True)


class HistoryView(APIView):
    @extend_schema(operation_id="comparison_history", responses=HistorySerializer)
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """All that happened to a comparison, oldest first: the newest 500 events."""
        comparison = review_comparison_for(request.user, slug, pk, Capability.VIEW)
        return Response({"results": EventSerializer(history_of(comparison), many=True).data})
