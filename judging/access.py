"""Loaders: the only way to fetch something of judging by an id from a URL."""

from __future__ import annotations

from uuid import UUID

from judging.models import Endpoint, Judge, JudgeRun, JudgeVersion, Verdict
from labeling.access import AnyUser, Capability, comparison_reveal_for, project_for, within
from labeling.models import Comparison


def judge_for(user: AnyUser, slug: str, uid: UUID, capability: Capability = Capability.VIEW) -> Judge:
    project = project_for(user, slug, capability)
    return within(Judge.objects.filter(project=project).select_related("project"), uid=uid)


def version_for(
    user: AnyUser, slug: str, uid: UUID, number: int, capability: Capability = Capability.VIEW
) -> JudgeVersion:
    judge = judge_for(user, slug, uid, capability)
    rows = JudgeVersion.objects.filter(judge=judge).select_related("judge__project", "endpoint")
    return within(rows, number=number)


def endpoint_for(user: AnyUser, slug: str, uid: UUID) -> Endpoint:
    """An endpoint, for managers alone."""
    project = project_for(user, slug, Capability.MANAGE)
    return within(Endpoint.objects.filter(project=project).select_related("project"), uid=uid)


def run_for(user: AnyUser, slug: str, uid: UUID) -> JudgeRun:
    project = project_for(user, slug, Capability.VIEW)
    rows = JudgeRun.objects.filter(project=project).select_related("judge_version__judge", "project")
    return within(rows, uid=uid)


def verdict_for(user: AnyUser, slug: str, uid: UUID) -> Verdict:
    project = project_for(user, slug, Capability.VIEW)
    rows = Verdict.objects.filter(comparison__project=project).select_related(
        "judge_version__judge__project",
        "comparison__prompt",
        "comparison__response_a",
        "comparison__response_b",
        "run",
    )
    return within(rows, uid=uid)


def revealed_comparison_for(user: AnyUser, slug: str, pk: int) -> Comparison:
    """A comparison whose verdicts this person may see now (invariant 3)."""
    return comparison_reveal_for(user, slug, pk)
