"""Loaders of reward models and runs: the person is checked before anything is fetched."""

from __future__ import annotations

from labeling.access import AnyUser, Capability, project_for, within
from workers.models import RewardModel, TrainingRun


def model_for(user: AnyUser, slug: str, number: int, capability: Capability = Capability.VIEW) -> RewardModel:
    project = project_for(user, slug, capability)
    queryset = RewardModel.objects.filter(project=project).select_related("project", "snapshot", "parent")
    return within(queryset, number=number)


def run_for(user: AnyUser, slug: str, pk: int, capability: Capability = Capability.VIEW) -> TrainingRun:
    project = project_for(user, slug, capability)
    queryset = TrainingRun.objects.filter(project=project).select_related(
        "project", "snapshot", "reward_model", "created_by"
    )
    return within(queryset, pk=pk)
