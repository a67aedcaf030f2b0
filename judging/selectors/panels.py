"""What the project's overview says of its judges."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Max

from judging.models import JudgeRun, JudgeVersion, Verdict
from judging.selectors.report import judge_report
from judging.statistics import Estimate
from labeling.models import Preference, Project
from webapp.caches import page_cache
from webapp.jobs.models import ACTIVE_STATES, Job

KEEP_S = 3600


@dataclass(frozen=True)
class LoopLine:
    """`newest` is the version asked last; its figures are over the pairs that people have settled."""

    versions: int
    newest: JudgeVersion | None = None
    agreement: Estimate | None = None
    coverage: float | None = None
    job: Job | None = None


def loop_line(project: Project) -> LoopLine:
    versions = JudgeVersion.objects.filter(judge__project=project).count()
    run = (
        JudgeRun.objects.filter(project=project)
        .select_related("judge_version__judge")
        .order_by("-pk")
        .first()
    )
    job = (
        Job.objects.filter(project_id=project.pk, kind="judge.run", state__in=ACTIVE_STATES)
        .order_by("-pk")
        .first()
    )
    if run is None:
        return LoopLine(versions, job=job)
    agreement, coverage = _figures(project, run.judge_version)
    return LoopLine(versions, run.judge_version, agreement, coverage, job)


def _figures(project: Project, version: JudgeVersion) -> tuple[Estimate, float | None]:
    """Agreement and coverage, kept until a new verdict or label comes: the overview asks often."""
    verdict = Verdict.objects.filter(judge_version=version).aggregate(top=Max("pk"))["top"]
    label = Preference.objects.filter(project=project).aggregate(top=Max("pk"))["top"]
    key = f"judging.loop:{version.pk}:{verdict}:{label}"
    found: tuple[Estimate, float | None] | None = page_cache.get(key)
    if found is None:
        report = judge_report(version)
        found = (report.probable_agreement, report.read_share)
        page_cache.set(key, found, KEEP_S)
    return found
