"""Review over REST: the queue, settling and sending back. Scope `read` to read, `write` to act."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, project_for, reveals_record, review_comparison_for
from labeling.api.label import KEY_HEADER, conflict, read_key
from labeling.api.work import labelers_named
from labeling.models import DisagreementKind, SentBack, SentTo
from labeling.selectors.reveals import responses_in_hand
from labeling.selectors.review import queue, queue_counts, queue_page
from labeling.selectors.review_rows import QueueRow, queue_row
from labeling.services.adjudication import REASON_MAX, adjudicate, adjudication_withdraw
from labeling.services.allocation import LabelingError
from labeling.services.sending_back import NEEDED_MAX, NOTE_MAX, send_back
from labeling.views.review_forms import QueueForm
from webapp.users.models import User

PAGE_SIZE = 100


def person(request: Request) -> User:
    return cast(User, request.user)


@contextmanager
def refusals() -> Iterator[None]:
    """What a service refuses is a 409 with the error's own code."""
    try:
        yield
    except LabelingError as error:
        raise conflict(error) from error


class VoiceSerializer(serializers.Serializer):
    kind = serializers.CharField()
    name = serializers.CharField()
    outcome = serializers.CharField()
    p_a = serializers.FloatField(allow_null=True)


class QueueRowSerializer(serializers.Serializer):
    comparison = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=DisagreementKind.choices)
    size = serializers.FloatField()
    open = serializers.BooleanField(help_text="False while you label one of its responses: no voices then.")
    outcome = serializers.CharField(allow_null=True)
    votes = serializers.DictField(child=serializers.IntegerField(), allow_null=True)
    voices = VoiceSerializer(many=True)


class QueueSerializer(serializers.Serializer):
    counts = serializers.DictField(child=serializers.IntegerField())
    next = serializers.CharField(allow_null=True, help_text="`after` of the next page.")
    results = QueueRowSerializer(many=True)


def _row(found: QueueRow) -> dict[str, Any]:
    settled = found.resolution
    votes = settled and {
        "a": settled.votes_a,
        "b": settled.votes_b,
        "tie": settled.votes_tie,
        "both_bad": settled.votes_both_bad,
    }
    voices = found.comparison.voices.all() if found.is_open else []
    return {
        "comparison": found.comparison.pk,
        "kind": found.row.kind,
        "size": found.row.size,
        "open": found.is_open,
        "outcome": settled.outcome if settled else None,
        "votes": votes,
        "voices": [
            {"kind": voice.kind, "name": voice.name, "outcome": voice.outcome, "p_a": voice.p_a}
            for voice in voices
        ],
    }


class ReviewView(APIView):
    @extend_schema(
        operation_id="review_queue",
        responses=QueueSerializer,
        parameters=[
            OpenApiParameter("kind", str, enum=DisagreementKind.values),
            OpenApiParameter("language", str),
            OpenApiParameter("topic", str),
            OpenApiParameter("labeler", int, description="A labeler's number."),
            OpenApiParameter("judge", str, description="A judge's uid without dashes."),
            OpenApiParameter("least", float, description="Smallest size, 0 to 1."),
            OpenApiParameter("since", str, description="First day (YYYY-MM-DD) of the last vote."),
            OpenApiParameter("after", str, description="`next` of the page before."),
        ],
    )
    def get(self, request: Request, slug: str) -> Response:
        """What waits in one queue of disagreement, the largest first, 100 at a time."""
        project = project_for(request.user, slug, Capability.VIEW)
        form = QueueForm(request.query_params)
        if not form.is_valid():
            raise serializers.ValidationError(
                {name: [str(text) for text in texts] for name, texts in form.errors.items()}
            )
        page = queue_page(queue(project, form.wanted()), form.cleaned_data["after"], size=PAGE_SIZE)
        closed = responses_in_hand(person(request), project)
        rows = [queue_row(row, closed) for row in page.rows]
        reveals_record(person(request), [row.comparison for row in rows if row.is_open])
        return Response(
            {
                "counts": queue_counts(project),
                "next": str(page.next) if page.next else None,
                "results": [_row(row) for row in rows],
            }
        )


class SettleSerializer(serializers.Serializer):
    """Against the comparison's own responses: `a` is its response_a."""

    outcome = serializers.ChoiceField(choices=["a", "b", "tie", "both_bad"])
    strength = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=4)
    reason = serializers.CharField(max_length=REASON_MAX)


class WithdrawSerializer(serializers.Serializer):
    reason = serializers.CharField(max_length=REASON_MAX)


class SettledSerializer(serializers.Serializer):
    uid = serializers.UUIDField()
    comparison = serializers.IntegerField(source="comparison_id")
    outcome = serializers.CharField()
    strength = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()


class AdjudicationView(APIView):
    @extend_schema(
        operation_id="adjudication_create",
        request=SettleSerializer,
        responses={201: SettledSerializer},
        parameters=[KEY_HEADER],
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Settle a comparison; later votes are counted and do not move it."""
        comparison = review_comparison_for(request.user, slug, pk)
        said = SettleSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        with refusals():
            row = adjudicate(
                comparison=comparison, reviewer=person(request), key=read_key(request), **said.validated_data
            )
        return Response(SettledSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        operation_id="adjudication_withdraw",
        request=WithdrawSerializer,
        responses=SettledSerializer,
        parameters=[KEY_HEADER],
    )
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Take the settlement back: the votes count again. Both rows stay in the history."""
        comparison = review_comparison_for(request.user, slug, pk)
        said = WithdrawSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        with refusals():
            row = adjudication_withdraw(
                comparison=comparison, reviewer=person(request), key=read_key(request), **said.validated_data
            )
        return Response(SettledSerializer(row).data)


class SendBackSerializer(serializers.Serializer):
    to = serializers.ChoiceField(choices=SentTo.choices)
    more = serializers.IntegerField(required=False, min_value=1, max_value=NEEDED_MAX, default=1)
    note = serializers.CharField(required=False, allow_blank=True, max_length=NOTE_MAX, default="")
    people = serializers.ListField(
        child=serializers.CharField(max_length=150),
        required=False,
        default=list,
        max_length=NEEDED_MAX,
        help_text="User names, for `named`.",
    )


class SentBackSerializer(serializers.Serializer):
    to = serializers.CharField()
    more = serializers.IntegerField()
    people = serializers.SerializerMethodField()
    note = serializers.CharField()
    created_at = serializers.DateTimeField()

    def get_people(self, row: SentBack) -> list[str]:
        return [labeler.name for labeler in row.people.order_by("pk")]


class SendBackView(APIView):
    @extend_schema(
        operation_id="comparison_send_back", request=SendBackSerializer, responses={201: SentBackSerializer}
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Ask more people, those who answered to look again, or people by name: of these, who has answered looks
        again, and the others get it next."""
        comparison = review_comparison_for(request.user, slug, pk)
        said = SendBackSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        asked: dict[str, Any] = dict(said.validated_data)
        people = labelers_named(comparison.project, asked.pop("people"))
        with refusals():
            row = send_back(comparison=comparison, actor=person(request), people=people, **asked)
        return Response(SentBackSerializer(row).data, status=status.HTTP_201_CREATED)
