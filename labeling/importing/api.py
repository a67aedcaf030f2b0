"""REST of import: upload (multipart or raw body), check, confirm, status, problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import BaseParser, FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, import_for, project_for
from labeling.importing.hub import HubError, HubName
from labeling.importing.mapping import MappingError
from labeling.importing.options import MAX_GROUP, MAX_LABELER, MAX_LANGUAGE, ImportOptions
from labeling.importing.pages import problems_of
from labeling.importing.problems import ProblemGroup
from labeling.importing.records import PAIR_POLICIES
from labeling.importing.services import (
    ImportStateError,
    import_confirm,
    import_create,
    import_discard,
    import_from_hub,
    import_recheck,
    import_retry,
)
from labeling.importing.texts import mapping_message
from labeling.importing.uploads import StoredFile, UploadTooLargeError, read_chunks, upload_store
from labeling.models import Import
from webapp.api.errors import Conflict
from webapp.api.pagination import IdCursorPagination
from webapp.users.models import User


class TooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = "The file is too large."


class RawBodyParser(BaseParser):
    """Hands the body over as a stream, whatever its content type; nothing is read into memory."""

    media_type = "*/*"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        return {"raw": stream}


class OptionsSerializer(serializers.Serializer):
    group_key = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=MAX_GROUP,
        help_text="Row key that holds the split group.",
    )
    labeler = serializers.CharField(required=False, allow_blank=True, max_length=MAX_LABELER)
    language = serializers.CharField(required=False, allow_blank=True, max_length=MAX_LANGUAGE)
    pairs = serializers.ChoiceField(required=False, choices=PAIR_POLICIES)
    skip_bad = serializers.BooleanField(required=False)
    use_gold = serializers.BooleanField(required=False)

    def options(self) -> ImportOptions:
        return ImportOptions.from_json(dict(self.validated_data))


class CheckSerializer(OptionsSerializer):
    mapping = serializers.JSONField(
        required=False,
        help_text=(
            "Which key of the file is what: {“columns”: {target: key}, “winner_values”: {outcome: [values]}}. "
            "An empty object lets the layout be found."
        ),
    )


class ProblemSerializer(serializers.Serializer):
    line = serializers.IntegerField(help_text="Of the first one.")
    member = serializers.CharField(help_text="The file in an archive.")
    column = serializers.IntegerField(help_text="From 1; 0 when the whole line is meant.")
    row = serializers.IntegerField(help_text="Number of the record from 1; 0 when none is meant.")
    code = serializers.CharField()
    message = serializers.CharField()
    hint = serializers.CharField()
    fatal = serializers.BooleanField()
    count = serializers.IntegerField(help_text="How many rows have this same problem.")
    lines = serializers.ListField(
        child=serializers.IntegerField(), help_text="Lines of the first few of them."
    )


class ImportSerializer(serializers.ModelSerializer):
    counts = serializers.SerializerMethodField()
    problems_url = serializers.SerializerMethodField()

    class Meta:
        model = Import
        fields = [
            "uid",
            "file_name",
            "size_bytes",
            "sha256",
            "source",
            "layout",
            "mapping",
            "members",
            "options",
            "state",
            "counts",
            "row_count",
            "cursor",
            "problem_count",
            "problems_url",
            "job_uid",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields

    def get_counts(self, import_: Import) -> dict[str, Any]:
        counts = dict(import_.counts)
        return {**counts, "error": str(import_.error)} if "error" in counts else counts

    def get_problems_url(self, import_: Import) -> str:
        return f"/api/v1/projects/{import_.project.slug}/imports/{import_.uid}/problems"


def _person(request: Request) -> User:
    assert isinstance(request.user, User)
    return request.user


def _values(request: Request) -> dict[str, Any]:
    """The body's values by name, of a form or a JSON object; an array has none."""
    return dict(request.data.items()) if isinstance(request.data, Mapping | QueryDict) else {}


def _options(values: dict[str, Any]) -> ImportOptions:
    known = OptionsSerializer().fields
    serializer = OptionsSerializer(data={key: value for key, value in values.items() if key in known})
    serializer.is_valid(raise_exception=True)
    return serializer.options()


class ImportsView(APIView):
    parser_classes = [MultiPartParser, FormParser, RawBodyParser]
    pagination_class: type[CursorPagination] = IdCursorPagination

    @extend_schema(responses=ImportSerializer(many=True), operation_id="imports_list")
    def get(self, request: Request, slug: str) -> Response:
        """Imports, newest first."""
        project = project_for(_person(request), slug, Capability.MANAGE)
        rows = (
            Import.objects.filter(project=project)
            .select_related("project")
            .defer("preview", "problems", "sample")
        )
        paginator = self.pagination_class()
        page = paginator.paginate_queryset(rows, request, view=self)
        return paginator.get_paginated_response(ImportSerializer(page, many=True).data)

    @extend_schema(
        operation_id="imports_create",
        description=(
            "Upload a file: multipart with `file` and the options as fields, or the file itself as the body "
            "with `file_name` and the options in the query. The check starts at once; follow `state`."
        ),
        parameters=[
            OpenApiParameter("file_name", str, description="For a raw body."),
            OptionsSerializer,
        ],
        request={
            "multipart/form-data": inline_serializer("ImportUpload", {"file": serializers.FileField()}),
            "application/octet-stream": OpenApiTypes.BINARY,
        },
        responses={201: ImportSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        project = project_for(_person(request), slug, Capability.MANAGE)
        values = _values(request)
        options = _options(request.query_params.dict() | values)
        file_name, stored = self._store(request, values)
        import_ = import_create(
            project=project, file_name=file_name, stored=stored, options=options, created_by=_person(request)
        )
        return Response(ImportSerializer(import_).data, status=status.HTTP_201_CREATED)

    def _store(self, request: Request, values: dict[str, Any]) -> tuple[str, StoredFile]:
        upload, stream = values.get("file"), values.get("raw")
        try:
            if isinstance(upload, UploadedFile):
                return upload.name or "upload", upload_store(upload.chunks())
            if stream is not None and hasattr(stream, "read"):
                name = request.query_params.get("file_name") or "upload.jsonl"
                return name, upload_store(read_chunks(stream))
        except UploadTooLargeError as error:
            raise TooLarge from error
        raise ValidationError({"file": [_("Send the file as “file”, or as the body of the request.")]})


class HubSerializer(OptionsSerializer):
    dataset = serializers.CharField(
        max_length=200, help_text="org/name, org/name@revision or org/name:config."
    )

    def validate_dataset(self, value: str) -> HubName:
        try:
            return HubName.read(value)
        except HubError as error:
            raise ValidationError(str(error)) from error


class ImportHubView(APIView):
    parser_classes = [JSONParser, FormParser]

    @extend_schema(request=HubSerializer, responses={201: ImportSerializer}, operation_id="imports_fetch")
    def post(self, request: Request, slug: str) -> Response:
        """Fetch a public data set of the hub; its check starts when it is here. Follow `state`."""
        project = project_for(_person(request), slug, Capability.MANAGE)
        serializer = HubSerializer(data=_values(request))
        serializer.is_valid(raise_exception=True)
        import_ = import_from_hub(
            project=project,
            name=serializer.validated_data["dataset"],
            options=serializer.options(),
            created_by=_person(request),
        )
        return Response(ImportSerializer(import_).data, status=status.HTTP_201_CREATED)


class ImportView(APIView):
    @extend_schema(responses=ImportSerializer, operation_id="imports_retrieve")
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """One import: how far it is, and what the check has found."""
        return Response(ImportSerializer(import_for(_person(request), slug, uid)).data)

    @extend_schema(responses={204: None}, operation_id="imports_discard")
    def delete(self, request: Request, slug: str, uid: UUID) -> Response:
        """Throw away an import of which nothing was written, with its file. 409 while it is at work."""
        import_ = import_for(_person(request), slug, uid)
        with _conflicts():
            import_discard(import_, actor=_person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ImportProblemsView(APIView):
    """The first 200 problems that read differently, each with how often it occurs, in the caller's language."""

    @extend_schema(responses=ProblemSerializer(many=True), operation_id="imports_problems")
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        import_ = import_for(_person(request), slug, uid)
        rows = [_problem(group) for group in problems_of(import_)]
        return Response({"problem_count": import_.problem_count, "results": rows})


class ImportPreviewView(APIView):
    """The first 20 records as they would be imported."""

    @extend_schema(responses=OpenApiTypes.OBJECT, operation_id="imports_preview")
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        return Response({"results": import_for(_person(request), slug, uid).preview})


class ImportCheckView(APIView):
    parser_classes = [JSONParser, FormParser]

    @extend_schema(request=CheckSerializer, responses={202: ImportSerializer}, operation_id="imports_check")
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """Check again; options that are not named stay as they are, and so does the mapping."""
        import_ = import_for(_person(request), slug, uid)
        values = _values(request)
        options = _options(import_.options | values)
        try:
            with _conflicts():
                import_recheck(
                    import_, options=options, mapping=values.get("mapping"), actor=_person(request)
                )
        except MappingError as error:
            raise ValidationError({"mapping": [mapping_message(error)]}) from error
        return Response(ImportSerializer(import_).data, status=status.HTTP_202_ACCEPTED)


class ImportConfirmView(APIView):
    parser_classes = [JSONParser, FormParser]

    @extend_schema(
        request=inline_serializer("ImportConfirm", {"skip_bad": serializers.BooleanField(required=False)}),
        responses={202: ImportSerializer},
        operation_id="imports_confirm",
    )
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """Write what the check has found to be good, as a job; `skip_bad` leaves bad rows out. Follow `state`."""
        import_ = import_for(_person(request), slug, uid)
        skip_bad = serializers.BooleanField().run_validation(_values(request).get("skip_bad", False))
        with _conflicts():
            import_confirm(import_, skip_bad=bool(skip_bad), actor=_person(request))
        return Response(ImportSerializer(import_).data, status=status.HTTP_202_ACCEPTED)


class ImportRetryView(APIView):
    @extend_schema(request=None, responses={202: ImportSerializer}, operation_id="imports_retry")
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """Go on with a failed import where it stopped."""
        import_ = import_for(_person(request), slug, uid)
        with _conflicts():
            import_retry(import_, actor=_person(request))
        return Response(ImportSerializer(import_).data, status=status.HTTP_202_ACCEPTED)


class _conflicts:  # noqa: N801 - reads as a statement
    """Turns a refusal of a service into a 409."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, ImportStateError):
            raise Conflict(str(error)) from error


def _problem(group: ProblemGroup) -> dict[str, Any]:
    problem = group.first
    return {
        "line": problem.line,
        "member": problem.member,
        "column": problem.column,
        "row": problem.row,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "fatal": problem.fatal,
        "count": group.count,
        "lines": [line for line, _row in group.places],
    }
