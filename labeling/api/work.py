"""REST of batches, people's work, gold and qualification, for managers. People are named by their user names."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, batch_for, labeler_for, project_for
from labeling.models import ComparisonUse, Labeler, Project
from labeling.selectors.work import (
    BatchRow,
    batch_row,
    batch_rows,
    check_counts,
    check_counts_forget,
    members_who_label,
    person_rows,
)
from labeling.services.batches import (
    AT_ONCE,
    Choice,
    batch_create,
    batch_delete,
    batch_extend,
    batch_release,
    batch_update,
)
from labeling.services.checks import allocation_update, checks_add, checks_release
from labeling.services.qualification import PERSON_DEEDS
from webapp.users.models import User


class BatchSerializer(serializers.Serializer):
    uid = serializers.UUIDField(source="batch.uid")
    name = serializers.CharField(source="batch.name")
    state = serializers.ChoiceField(choices=["open", "paused", "done", "stuck", "over", "closed"])
    people = serializers.ListField(child=serializers.CharField(), source="usernames")
    deadline = serializers.DateTimeField(source="batch.deadline", allow_null=True)
    total = serializers.IntegerField()
    done = serializers.IntegerField()
    created_at = serializers.DateTimeField(source="batch.created_at")
    closed_at = serializers.DateTimeField(source="batch.closed_at", allow_null=True)


class NewBatchSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=120)
    people = serializers.ListField(child=serializers.CharField(max_length=150), max_length=1000)
    deadline = serializers.DateTimeField(required=False, allow_null=True)


class BatchExtendSerializer(serializers.Serializer):
    """Everybody's first `number` open comparisons by priority, of this topic and language."""

    number = serializers.IntegerField(min_value=1, max_value=AT_ONCE)
    topic = serializers.CharField(max_length=120, required=False, default="")
    language = serializers.CharField(max_length=12, required=False, default="")


class BatchWriteSerializer(NewBatchSerializer, BatchExtendSerializer):
    """A new batch, and what it takes."""


class BatchChangeSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=120, required=False)
    people = serializers.ListField(
        child=serializers.CharField(max_length=150), max_length=1000, required=False
    )
    deadline = serializers.DateTimeField(required=False, allow_null=True)
    is_paused = serializers.BooleanField(required=False)
    release = serializers.BooleanField(
        required=False, default=False, help_text="Close it: what is not done goes back to everybody."
    )


class PersonSerializer(serializers.Serializer):
    person = serializers.CharField(source="membership.user.username")
    state = serializers.ChoiceField(choices=["working", "qualifying", "failed", "paused"])
    answered = serializers.IntegerField(help_text="Qualification comparisons answered.")
    batches = serializers.IntegerField(help_text="Open batches.")


class PersonDeedSerializer(serializers.Serializer):
    person = serializers.CharField(max_length=150)
    deed = serializers.ChoiceField(choices=sorted(PERSON_DEEDS))


class AllocationSerializer(serializers.ModelSerializer):
    """`gold` and `qualification` are how many comparisons there are of each, `known` how many more could be."""

    gold = serializers.IntegerField(read_only=True)
    qualification = serializers.IntegerField(read_only=True)
    known = serializers.IntegerField(read_only=True)

    class Meta:
        model = Project
        fields = (
            "overlap", "random_share", "lease_s", "skip_limit", "is_paused", "gold_share",
            "qualification_size", "qualification_pass", "gold", "qualification", "known",
        )  # fmt: skip


class ChecksSerializer(serializers.Serializer):
    """`count` more of this use; 0 makes all of it ordinary work again."""

    use = serializers.ChoiceField(choices=[ComparisonUse.GOLD, ComparisonUse.QUALIFICATION])
    count = serializers.IntegerField(min_value=0, max_value=10_000)


def labelers_named(project: Project, names: list[str]) -> list[Labeler]:
    members = {member.user.username: member for member in members_who_label(project)}
    unknown = [name for name in names if name not in members]
    if unknown:
        message = _("“%(name)s” does not label in this project.") % {"name": unknown[0][:60]}
        raise serializers.ValidationError({"people": [message]})
    return [labeler_for(members[name].user, project) for name in dict.fromkeys(names)]


def _data(kind: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    reader = kind(data=request.data)
    reader.is_valid(raise_exception=True)
    return cast(dict[str, Any], reader.validated_data)


class BatchesView(APIView):
    @extend_schema(responses=BatchSerializer(many=True), operation_id="batches_list")
    def get(self, request: Request, slug: str) -> Response:
        """The project's batches, open ones first."""
        project = project_for(request.user, slug, Capability.MANAGE)
        return Response({"results": BatchSerializer(batch_rows(project), many=True).data})

    @extend_schema(request=BatchWriteSerializer, responses=BatchSerializer, operation_id="batches_create")
    def post(self, request: Request, slug: str) -> Response:
        """Keep comparisons for these people."""
        project = project_for(request.user, slug, Capability.MANAGE)
        data = _data(BatchWriteSerializer, request)
        batch = batch_create(
            project=project,
            name=data["name"],
            people=labelers_named(project, data["people"]),
            deadline=data.get("deadline"),
            choice=Choice(data["number"], data["topic"], data["language"]),
            actor=cast(User, request.user),
        )
        return Response(_json(batch_row(batch)), status=status.HTTP_201_CREATED)


def _json(row: BatchRow) -> dict[str, Any]:
    return dict(BatchSerializer(row).data)


class BatchView(APIView):
    @extend_schema(responses=BatchSerializer, operation_id="batches_get")
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """One batch, with how far it is."""
        return Response(_json(batch_row(batch_for(request.user, slug, uid))))

    @extend_schema(request=BatchExtendSerializer, responses=BatchSerializer, operation_id="batches_extend")
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """Keep more comparisons for its people."""
        batch, actor = batch_for(request.user, slug, uid), cast(User, request.user)
        batch_extend(batch=batch, choice=Choice(**_data(BatchExtendSerializer, request)), actor=actor)
        return Response(_json(batch_row(batch)))

    @extend_schema(request=BatchChangeSerializer, responses=BatchSerializer, operation_id="batches_change")
    def patch(self, request: Request, slug: str, uid: UUID) -> Response:
        """Change it, or close it with `release`."""
        batch, actor = batch_for(request.user, slug, uid), cast(User, request.user)
        data = _data(BatchChangeSerializer, request)
        is_released, names = data.pop("release"), data.pop("people", None)
        if data or names is not None:
            people = None if names is None else labelers_named(batch.project, names)
            batch_update(batch=batch, actor=actor, people=people, **data)
        if is_released:
            batch_release(batch=batch, actor=actor)
            batch.refresh_from_db()
        return Response(_json(batch_row(batch)))

    @extend_schema(operation_id="batches_delete", responses={204: None})
    def delete(self, request: Request, slug: str, uid: UUID) -> Response:
        """Forget the batch; its comparisons and labels stay."""
        batch_delete(batch=batch_for(request.user, slug, uid), actor=cast(User, request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)


class WorkersView(APIView):
    @extend_schema(responses=PersonSerializer(many=True), operation_id="work_people_list")
    def get(self, request: Request, slug: str) -> Response:
        """Everybody who may label, and whether they do."""
        project = project_for(request.user, slug, Capability.MANAGE)
        return Response({"results": PersonSerializer(person_rows(project), many=True).data})

    @extend_schema(request=PersonDeedSerializer, responses={204: None}, operation_id="work_people_change")
    def post(self, request: Request, slug: str) -> Response:
        """Pause or resume a person; grant the qualification, or let them try again."""
        project = project_for(request.user, slug, Capability.MANAGE)
        data = _data(PersonDeedSerializer, request)
        labeler = labelers_named(project, [data["person"]])[0]
        PERSON_DEEDS[data["deed"]](labeler=labeler, actor=cast(User, request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)


class AllocationView(APIView):
    @extend_schema(responses=AllocationSerializer, operation_id="allocation_get")
    def get(self, request: Request, slug: str) -> Response:
        """How comparisons are handed out."""
        return Response(self._json(project_for(request.user, slug, Capability.MANAGE)))

    @extend_schema(
        request=AllocationSerializer, responses=AllocationSerializer, operation_id="allocation_change"
    )
    def patch(self, request: Request, slug: str) -> Response:
        """Change some of it."""
        project = project_for(request.user, slug, Capability.MANAGE)
        reader = AllocationSerializer(project, data=request.data, partial=True)
        reader.is_valid(raise_exception=True)
        allocation_update(project=project, actor=cast(User, request.user), **reader.validated_data)
        return Response(self._json(project))

    @extend_schema(request=ChecksSerializer, responses=AllocationSerializer, operation_id="allocation_checks")
    def post(self, request: Request, slug: str) -> Response:
        """Make known comparisons gold or qualification ones, drawn at random; or work again."""
        project, actor = project_for(request.user, slug, Capability.MANAGE), cast(User, request.user)
        data = _data(ChecksSerializer, request)
        use = ComparisonUse(data["use"])
        if data["count"]:
            checks_add(project=project, use=use, count=data["count"], actor=actor)
        else:
            checks_release(project=project, use=use, actor=actor)
        check_counts_forget(project)
        return Response(self._json(project))

    def _json(self, project: Project) -> dict[str, Any]:
        counts = vars(check_counts(project))
        settings = {name: getattr(project, name) for name in AllocationSerializer.Meta.fields[: -len(counts)]}
        return dict(AllocationSerializer(settings | counts).data)
