"""Judges, versions and runs for lists and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Exists, Max, OuterRef, QuerySet

from judging.models import EngineKind, Judge, JudgeRun, JudgeVersion, Verdict, VerdictStatus
from judging.parsing import READ_STATUSES
from judging.selectors.selection import Selection, selection_from_json
from labeling.models import Project
from webapp.jobs.models import Job


@dataclass(frozen=True)
class JudgeRow:
    judge: Judge
    version: JudgeVersion
    version_count: int
    verdict_count: int


@dataclass(frozen=True)
class StatusCount:
    status: str
    count: int

    @property
    def label(self) -> str:
        return str(VerdictStatus(self.status).label)


@dataclass(frozen=True)
class RunRow:
    """A run with its job; `job` is None when old jobs have been cleaned away."""

    run: JudgeRun
    selection: Selection
    job: Job | None

    @property
    def counts(self) -> list[StatusCount]:
        return [StatusCount(status, count) for status, count in sorted(self.run.counts.items())]


def judge_rows(project: Project) -> list[JudgeRow]:
    """Every judge with its newest version and how many verdicts that has; three queries."""
    judges = Judge.objects.filter(project=project).annotate(
        newest=Max("versions__number"), version_count=Count("versions")
    )
    found = {judge.pk: judge for judge in judges}
    versions = JudgeVersion.objects.filter(judge__in=found).select_related("judge__project", "endpoint")
    newest = {v.judge_id: v for v in versions if v.number == found[v.judge_id].newest}
    counts = dict(
        Verdict.objects.filter(judge_version__in=[v.pk for v in newest.values()])
        .values_list("judge_version_id")
        .annotate(n=Count("id"))
    )
    return [
        JudgeRow(judge, newest[pk], judge.version_count, counts.get(newest[pk].pk, 0))
        for pk, judge in found.items()
        if pk in newest
    ]


def speaking_versions(project: Project) -> QuerySet[JudgeVersion]:
    """The versions whose verdicts can be held against people's votes: those with one that was read, by name and newest
    first. Reward models shown as judges are left out: they are evaluated as what they are."""
    read = Verdict.objects.filter(judge_version=OuterRef("pk"), status__in=READ_STATUSES)
    versions = JudgeVersion.objects.filter(Exists(read), judge__project=project)
    return (
        versions.exclude(engine=EngineKind.SCORER).select_related("judge").order_by("judge__name", "-number")
    )


def run_rows(runs: Sequence[JudgeRun]) -> list[RunRow]:
    jobs = {job.uid: job for job in Job.objects.filter(uid__in=[run.job_uid for run in runs if run.job_uid])}
    return [
        RunRow(run, selection_from_json(run.selection), jobs.get(run.job_uid) if run.job_uid else None)
        for run in runs
    ]
