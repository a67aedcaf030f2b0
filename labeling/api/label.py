"""Labeling over REST, scope `label`: lease, submit, draft, undo, heartbeat. The label page's own services.

Before the vote a response holds what `Pair.to_json` holds, and nothing else of the comparison (invariant 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, cast
from uuid import UUID

from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import assignment_for, own_labeler
from labeling.api.label_serializers import (
    AnswerSerializer,
    DraftSerializer,
    NextSerializer,
    PairSerializer,
    SavedAndNextSerializer,
    saved,
)
from labeling.models import Assignment, Labeler, PreferenceSource
from labeling.scheme import read_scheme
from labeling.selectors.label import labels_today, pair_of
from labeling.services.allocation import LabelingError, PausedError, lease_next, lease_renew
from labeling.services.preferences import draft_save, preference_submit, preference_undo
from labeling.views.label_form import KEY_MAX, read_draft
from webapp.api.errors import Conflict
from webapp.users.models import User

KEY_HEADER = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="Made by the client, once for each answer. Same key and same body: same answer.",
)


def conflict(error: LabelingError) -> Conflict:
    """409 with the error's own code."""
    raised = Conflict(str(error.message))
    raised.default_code = error.code
    return raised


def read_key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not key or len(key) > KEY_MAX or not (key.isascii() and key.isprintable()):
        message = _("Send a header Idempotency-Key of 1 to %(max)d ASCII characters.") % {"max": KEY_MAX}
        raise serializers.ValidationError({"Idempotency-Key": [message]})
    return key


class LabelView(APIView):
    required_scopes = {"POST": "label"}

    @property
    def person(self) -> User:
        return cast(User, self.request.user)

    def body(self, kind: type[serializers.Serializer]) -> dict[str, Any]:
        said = self.request.data
        return cast(
            dict[str, Any], _reader(kind, get_language() or "").run_validation({} if said is None else said)
        )


@cache
def _reader(kind: type[serializers.Serializer], _language: str) -> serializers.Serializer:
    """One for all requests in a language: it keeps nothing of what it reads, and to make one is dearer than to read.
    REST framework puts the text of a limit into words at its first use and keeps them, and not with two threads at
    once: so that is done here."""
    reader = kind()
    for field in _within(reader):
        for limit in field.validators:
            str(getattr(limit, "message", ""))
    return reader


def _within(field: Any) -> Iterator[serializers.Field]:
    """The field and all that it holds."""
    yield field
    held = [*getattr(field, "fields", {}).values(), getattr(field, "child", None)]
    for one in held:
        if one is not None:
            yield from _within(one)


def _results(leases: list[Assignment]) -> dict[str, Any]:
    return {"results": [pair_of(lease).to_json() for lease in leases]}


class NextComparisons(LabelView):
    @extend_schema(
        request=NextSerializer,
        responses=inline_serializer(
            "NextComparisonsAnswer",
            {"results": PairSerializer(many=True), "today": serializers.IntegerField()},
        ),
        operation_id="comparisons_next",
    )
    def post(self, request: Request, slug: str) -> Response:
        """Lease up to two comparisons, those already leased first. None at all: nothing is left to label."""
        labeler = own_labeler(self.person, slug)
        try:
            count = self.body(NextSerializer)["count"]
            leases = lease_next(labeler, count=count, is_short=vars(labeler)["held"] < count)
        except LabelingError as error:
            raise conflict(error) from None
        return Response(_results(leases) | {"today": labels_today(labeler)})


class SubmitAssignment(LabelView):
    @extend_schema(
        request=AnswerSerializer,
        responses=SavedAndNextSerializer,
        parameters=[KEY_HEADER],
        operation_id="assignments_submit",
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Give an answer, or change one (`change`)."""
        assignment = assignment_for(self.person, uid, with_texts=False)
        data = self.body(AnswerSerializer)
        count = data.pop("next")
        try:
            row = preference_submit(
                assignment=assignment,
                data=data,
                idempotency_key=read_key(request),
                is_change=data.pop("change"),
                source=PreferenceSource.API,
            )
        except LabelingError as error:
            raise conflict(error) from None
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        answer = saved(row)
        if count:
            answer |= _results(self._next(assignment.labeler, count))
        return Response(answer)

    def _next(self, labeler: Labeler, count: int) -> list[Assignment]:
        """None while paused: the answer was saved, and that is what was asked first."""
        try:
            return lease_next(labeler, count=count, is_short=True)
        except PausedError:
            return []


class UndoAssignment(LabelView):
    @extend_schema(
        request=None, responses=PairSerializer, parameters=[KEY_HEADER], operation_id="assignments_undo"
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Withdraw the answer just given, within ten seconds. The comparison is leased again."""
        assignment = assignment_for(self.person, uid)
        try:
            current = preference_undo(assignment=assignment, idempotency_key=read_key(request))
        except LabelingError as error:
            raise conflict(error) from None
        current.comparison = assignment.comparison
        return Response(pair_of(current).to_json())


class DraftAssignment(LabelView):
    @extend_schema(
        request=DraftSerializer,
        responses=inline_serializer("DraftKept", {"kept": serializers.BooleanField()}),
        operation_id="assignments_draft",
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Keep an unfinished answer. Unknown aspects and reasons are left out."""
        assignment = assignment_for(self.person, uid, with_texts=False)
        scheme = read_scheme(assignment.comparison.project.scheme)
        draft = read_draft(self.body(DraftSerializer), scheme)
        return Response({"kept": draft_save(assignment=assignment, draft=draft)})


class HeartbeatAssignment(LabelView):
    @extend_schema(
        request=None,
        responses=inline_serializer(
            "Heartbeat", {"held": serializers.BooleanField(), "lease_expires_at": serializers.DateTimeField()}
        ),
        operation_id="assignments_heartbeat",
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Renew the lease. `held` is false when it has gone back to the queue or was answered."""
        assignment = assignment_for(self.person, uid, with_texts=False)
        held = lease_renew(assignment)
        return Response({"held": held, "lease_expires_at": assignment.lease_expires_at})
