"""Loaders of reward models and runs: the person is checked before anything is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from labeling.access import AnyUser, Capability, may, project_for, reveals_record, within
from labeling.models import Project
from labeling.selectors.reveals import responses_in_hand
from webapp.jobs.models import Job
from webapp.users.models import User
from workers.models import Evaluation, RewardModel, TrainingRun
from workers.selectors.disagreements import DisagreementRow, disagreement_rows
from workers.selectors.evaluations import without_names


def model_for(user: AnyUser, slug: str, number: int, capability: Capability = Capability.VIEW) -> RewardModel:
    project = project_for(user, slug, capability)
    queryset = RewardModel.objects.filter(project=project).select_related("project", "snapshot", "parent")
    return within(queryset, number=number)


def models_for(
    user: AnyUser, slug: str, first: int, second: int, capability: Capability = Capability.VIEW
) -> tuple[RewardModel, RewardModel]:
    """Two models of one project, to be held against each other."""
    project = project_for(user, slug, capability)
    queryset = RewardModel.objects.filter(project=project).select_related("project", "snapshot")
    return within(queryset, number=first), within(queryset, number=second)


def run_for(user: AnyUser, slug: str, pk: int, capability: Capability = Capability.VIEW) -> TrainingRun:
    project = project_for(user, slug, capability)
    queryset = TrainingRun.objects.filter(project=project).select_related(
        "project", "snapshot", "reward_model", "created_by"
    )
    return within(queryset, pk=pk)


def preview_for(user: AnyUser, slug: str, uid: UUID) -> Job:
    """The job of a preview of what a model reads; previews are the managers'."""
    project = project_for(user, slug, Capability.MANAGE)
    return within(Job.objects.filter(project_id=project.pk, kind="reward.preview"), uid=uid)


def report_for(user: AnyUser, found: Evaluation) -> dict[str, Any]:
    """The report as this person may see it: people's names are for those who manage the project's members."""
    report: dict[str, Any] = found.report
    named = may(user, found.reward_model.project, Capability.MANAGE)
    return report if named else without_names(report)


def disagreements_for(user: AnyUser, project: Project, report: Mapping[str, Any]) -> list[DisagreementRow]:
    """Where two models differ most, as this person may see it (invariant 3): what people and models say of a pair is
    closed while the person labels one of its responses; of the others it is recorded that the person was shown it."""
    person = cast(User, user)
    rows = disagreement_rows(project, report, in_hand=responses_in_hand(person, project))
    reveals_record(person, [row.comparison for row in rows if row.is_open])
    return rows
