"""REST of evaluations, of two models held against each other, and of what a model reads."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import Capability, comparison_for, project_for, snapshot_for
from labeling.models import Snapshot, SnapshotState
from webapp.api.errors import Conflict
from workers.access import disagreements_for, model_for, models_for, preview_for, report_for
from workers.api.serializers import CompareSerializer, EvaluateSerializer, PreviewSerializer
from workers.api.views import asked_number, person
from workers.errors import BadTrainingConfig, PreviewsBusy, ReadsNoTokens
from workers.models import RewardModel
from workers.selectors.evaluations import (
    comparison_of,
    comparisons_of,
    evaluation_data,
    evaluation_on,
    evaluations_of,
)
from workers.services.comparing import comparison_job, comparison_start
from workers.services.evaluating import evaluation_start
from workers.services.previews import Reader, Reading, preview_result, preview_start

SNAPSHOT = OpenApiParameter("snapshot", int, description="Number; the newest evaluation's if left out.")


def ready_snapshot(request: Request, slug: str, number: int) -> Snapshot:
    """The snapshot with this number. Raises Http404, or Conflict while it is being made."""
    snapshot = snapshot_for(person(request), slug, number)
    if snapshot.state != SnapshotState.READY:
        raise Conflict(_("Snapshot %(snapshot)s is not ready.") % {"snapshot": snapshot})
    return snapshot


class EvaluationView(APIView):
    @extend_schema(parameters=[SNAPSHOT], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, slug: str, number: int) -> Response:
        """evaluation.json: every figure on a snapshot's held-out pairs. People's names are for managers."""
        model = model_for(person(request), slug, number)
        wanted = asked_number(request, "snapshot")
        if wanted is None:
            found = evaluations_of(model).first()
        else:
            found = evaluation_on(model, snapshot_for(person(request), slug, wanted))
        if found is None:
            raise NotFound(_("This model has not been evaluated on this snapshot yet."))
        return Response(evaluation_data(found, report_for(person(request), found)))

    @extend_schema(request=EvaluateSerializer, responses={202: OpenApiTypes.OBJECT})
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Evaluate a model on a snapshot, as a job. Pairs whose prompts it was trained on are left out."""
        model = model_for(person(request), slug, number, Capability.MANAGE)
        reader = EvaluateSerializer(data=request.data)
        reader.is_valid(raise_exception=True)
        snapshot = ready_snapshot(request, slug, reader.validated_data["snapshot"])
        job = evaluation_start(model=model, snapshot=snapshot, created_by=person(request))
        return Response({"job": str(job.uid)}, status=status.HTTP_202_ACCEPTED)


class CompareView(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("a", int, description="Version of the first model."),
            OpenApiParameter("b", int, description="Version of the second model."),
            OpenApiParameter("snapshot", int, description="Number of the snapshot."),
        ],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, slug: str) -> Response:
        """Two models on the held-out pairs that neither was trained on: the difference in accuracy (first less second)
        by paired bootstrap, overall and by slice, and the comparisons on which they differ most (the number alone
        of those whose responses you are labeling). Without parameters: which comparisons there are.
        Until `done`: the state of the job, and why it failed."""
        project = project_for(person(request), slug, Capability.VIEW)
        numbers = {name: asked_number(request, name) for name in ("a", "b", "snapshot")}
        missing = [name for name, number in numbers.items() if number is None]
        if len(missing) == len(numbers):
            rows = comparisons_of(project)
            return Response({"results": [self.named(r.model_a, r.model_b, r.snapshot) for r in rows]})
        if missing:
            raise serializers.ValidationError({name: [_("Write a whole number.")] for name in missing})
        first, second = self.pair(request, slug, numbers, Capability.VIEW)
        snapshot = snapshot_for(person(request), slug, int(numbers["snapshot"] or 0))
        found = comparison_of(first, second, snapshot)
        if found is None:
            raise NotFound(_("These models have not been compared on this snapshot yet."))
        if not found.report:
            job = comparison_job(found)
            state = {"job": str(job.uid), "state": job.state, "error": job.error_line} if job else {}
            return Response(self.named(first, second, snapshot) | {"done": False} | state)
        report = dict(found.report)
        if "disagreements" in report:
            report["disagreements"] = [
                row.as_dict() for row in disagreements_for(person(request), project, report)
            ]
        return Response(self.named(first, second, snapshot) | {"done": True} | report)

    @extend_schema(request=CompareSerializer, responses={202: OpenApiTypes.OBJECT})
    def post(self, request: Request, slug: str) -> Response:
        """Have two models compared, as a job. What was compared before is not compared again: `job` is that job."""
        project_for(person(request), slug, Capability.MANAGE)
        reader = CompareSerializer(data=request.data)
        reader.is_valid(raise_exception=True)
        first, second = self.pair(request, slug, reader.validated_data, Capability.MANAGE)
        snapshot = ready_snapshot(request, slug, reader.validated_data["snapshot"])
        row = comparison_start(model_a=first, model_b=second, snapshot=snapshot, created_by=person(request))
        data = self.named(first, second, snapshot) | {"job": str(row.job_uid), "done": bool(row.report)}
        return Response(data, status=status.HTTP_202_ACCEPTED)

    @staticmethod
    def pair(
        request: Request, slug: str, numbers: dict[str, Any], capability: Capability
    ) -> tuple[RewardModel, RewardModel]:
        """Both models. Raises Http404, and ValidationError for one and the same."""
        if numbers["a"] == numbers["b"]:
            raise serializers.ValidationError({"b": [_("Choose two different models.")]})
        return models_for(person(request), slug, numbers["a"], numbers["b"], capability)

    @staticmethod
    def named(first: RewardModel, second: RewardModel, snapshot: Snapshot) -> dict[str, Any]:
        return {"model_a": first.number, "model_b": second.number, "snapshot": snapshot.number}


class PreviewView(APIView):
    @extend_schema(request=PreviewSerializer, responses={202: OpenApiTypes.OBJECT})
    def post(self, request: Request, slug: str) -> Response:
        """Ask what a model reads of one response; `preview` names the result, which is there once the job is done."""
        project = project_for(person(request), slug, Capability.MANAGE)
        sent = PreviewSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        values = sent.validated_data
        reader = Reader(kind=values["kind"], config=values["config"])
        if "model" in values:
            reader = Reader(model=model_for(person(request), slug, values["model"], Capability.MANAGE))
        reading = Reading(prompt=values["prompt"], answer=values["answer"])
        if values.get("comparison") is not None:
            comparison = comparison_for(person(request), slug, values["comparison"], Capability.MANAGE)
            reading = Reading(comparison=comparison, side=values["side"])
        try:
            job = preview_start(project=project, reader=reader, reading=reading, created_by=person(request))
        except BadTrainingConfig as error:
            raise serializers.ValidationError({"config": [str(error)]}) from error
        except PreviewsBusy as error:
            raise Conflict(str(error)) from error
        except ReadsNoTokens as error:
            raise serializers.ValidationError({"kind": [str(error)]}) from error
        return Response({"job": str(job.uid), "preview": str(job.uid)}, status=status.HTTP_202_ACCEPTED)


class PreviewResultView(APIView):
    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """The exact text, its tokens as [id, text, is_prompt, is_special], and warnings. 409 before the job's end, 404
        once its folder was removed."""
        job = preview_for(person(request), slug, uid)
        if job.is_active:
            raise Conflict(_("The job of this preview has not ended yet."))
        found = preview_result(job)
        if found is None:
            raise NotFound(str(job.error) or _("This preview is no longer kept."))
        return Response(found)
