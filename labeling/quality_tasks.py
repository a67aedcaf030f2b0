"""The job that fits reliabilities."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop

from labeling.models import Project, ReliabilityFit, Resolution, ResolutionRule
from labeling.services.reliability import fit_record, fit_values, votes_read
from labeling.services.resolution import resolve_comparisons
from labeling.services.review import disagreements_refresh
from labeling.snapshots.source import consistent_view
from webapp.jobs.context import JobContext
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.messages import message

CHUNK = 500


def fit_reliability(context: JobContext) -> dict[str, Any]:
    """Handler of `quality.fit`; params: {"project_id"}. A second run finds its fit and settles what is left."""
    project = Project.objects.get(pk=context.params["project_id"])
    fit = ReliabilityFit.objects.filter(project=project, job_uid=context.job.uid).first()
    if fit is None:
        with consistent_view() as using:
            votes = votes_read(project, using=using)
        if not len(votes.items):
            raise PermanentJobError(message(gettext_noop("There are no votes yet to fit reliabilities to.")))
        values = fit_values(votes)
        with context.guarded():
            fit = fit_record(project=project, job=context.job, values=values)
        context.log(f"{fit.preference_count} votes of {len(fit.people)} people, {fit.iterations} rounds")
    changed = _settle_anew(context, project)
    return {"votes": fit.preference_count, "people": len(fit.people), "settled_anew": changed}


def _settle_anew(context: JobContext, project: Project) -> int:
    """Every comparison with a resolution by the project's rule; nothing where the majority settles and has settled
    all. The queue of disagreements follows. The rule is read again by each chunk."""
    settled = Resolution.objects.filter(project=project)
    by_fit = settled.filter(method=ResolutionRule.RELIABILITY).exists()
    project.refresh_from_db(fields=["resolution_rule"])
    if project.resolution_rule == ResolutionRule.MAJORITY and not by_fit:
        return 0
    ids = list(settled.order_by("pk").values_list("pk", flat=True))
    changed = 0
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        with context.guarded():
            changed += len(resolve_comparisons(chunk))
            disagreements_refresh(chunk)
        context.progress(min(len(ids), start + CHUNK), len(ids))
    return changed
