"""How good a model is on a snapshot's held-out pairs: the page, its file, and asking for an evaluation."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from labeling.access import Capability
from labeling.models import Snapshot
from labeling.pages import project_context
from labeling.selectors.staleness import revisions_of
from webapp.jobs.models import Job, JobState
from webapp.ui.tracks import Scale, interval_track, share_scale
from workers.access import model_for, report_for
from workers.charts import reliability
from workers.meaning import meaning, temperature_fitted
from workers.models import Evaluation, RewardModel
from workers.selectors.evaluations import (
    People,
    Range,
    SliceRow,
    evaluation_data,
    evaluation_on,
    evaluations_of,
    honest,
    people_of,
    range_of,
    slice_rows,
    snapshots_to_evaluate,
)
from workers.selectors.models import champion_of
from workers.services.evaluating import evaluation_newest_job, evaluation_start
from workers.views.asking import person, snapshot_asked


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def evaluation(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The page of a model on a snapshot (`?snapshot=3`; the one it was last evaluated on without). A POST evaluates it
    there. Asked for by htmx while a job works on it: the live part alone."""
    needed = Capability.MANAGE if request.method == "POST" else Capability.VIEW
    model = model_for(request.user, slug, number, needed)
    asked = snapshot_asked(request, slug, request.POST if request.method == "POST" else request.GET)
    newest = None if asked else evaluations_of(model).first()
    snapshot = asked or (newest.snapshot if newest else model.snapshot)
    if request.method == "POST":
        evaluation_start(model=model, snapshot=snapshot, created_by=person(request))
        url = reverse("workers:model-evaluation", args=[slug, number])
        return redirect(f"{url}?snapshot={snapshot.number}")
    context = project_context(request, model.project, "models") | _page(request, model, snapshot)
    live = request.htmx  # type: ignore[attr-defined]
    return render(request, "workers/_evaluation.html" if live else "workers/evaluation.html", context)


def _page(request: HttpRequest, model: RewardModel, snapshot: Snapshot) -> dict[str, Any]:
    found = evaluation_on(model, snapshot)
    newest = evaluation_newest_job(model, snapshot)
    job = newest if newest is not None and newest.is_active else None
    context: dict[str, Any] = {
        "model": model,
        "snapshot": snapshot,
        "snapshots": snapshots_to_evaluate(model.project, snapshot),
        "evaluation": found,
        "job": job,
        "failed": _failed(newest, found),
        "revised": revisions_of(model.project).since(snapshot),
    }
    return context | (_figures(request, model, found) if found else {})


def _failed(job: Job | None, found: Evaluation | None) -> Job | None:
    """The job of the last attempt, where it failed and nothing came of it since."""
    if job is None or job.state != JobState.FAILED:
        return None
    is_newer = found is None or (job.finished_at is not None and job.finished_at > found.created_at)
    return job if is_newer else None


def _figures(request: HttpRequest, model: RewardModel, found: Evaluation) -> dict[str, Any]:
    report = report_for(request.user, found)
    champion = champion_of(model.project)
    other = evaluation_on(champion, found.snapshot) if champion and champion != model else None
    slices = slice_rows(report, other.report if other else None)
    people = people_of(report)
    accuracy = honest(found.accuracy, found.low, found.high, found.n)
    return {
        "report": report,
        "accuracy": accuracy,
        "longest": range_of(found.baselines.get("longest"), found.n),
        "random": range_of(found.baselines.get("random"), found.n),
        "champion": champion if other else None,
        "other": honest(other.accuracy, other.low, other.high, other.n) if other else None,
        "said": meaning(report, slices=slices, people=people) if report else [],
        "reliability": reliability(report),
        "fitted": temperature_fitted(model),
        "people": people,
        **_tracks(slices, people, accuracy.value),
    }


def _tracks(slices: list[SliceRow], people: People | None, overall: float | None) -> dict[str, Any]:
    """The rows of both tables with their drawings, all figures of a table on one scale."""
    scale = _scale([row.accuracy for row in slices], overall)
    rows = people.rows if people else []
    human = _scale([row.model for row in rows], people.ceiling.value if people else None)
    return {
        "slices": [(row, _track(scale, row.accuracy)) for row in slices],
        "slice_scale": scale,
        "people_rows": [(row, _track(human, row.model)) for row in rows],
        "people_scale": human,
    }


def _scale(ranges: list[Range], level: float | None) -> Scale:
    return share_scale([v for r in ranges for v in (r.low, r.high)], [] if level is None else [level])


def _track(scale: Scale, found: Range) -> SafeString:
    return interval_track(scale, found.value, found.low, found.high)


@login_required
@require_safe
def evaluation_file(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """`evaluation.json`: the figures of the page for programs, with what they were measured on."""
    model = model_for(request.user, slug, number)
    asked = snapshot_asked(request, slug, request.GET)
    found = evaluation_on(model, asked) if asked else evaluations_of(model).first()
    if found is None:
        raise Http404(_("This model has not been evaluated on this snapshot yet."))
    response = JsonResponse(
        evaluation_data(found, report_for(request.user, found)),
        json_dumps_params={"indent": 1, "ensure_ascii": False},
    )
    response["Content-Disposition"] = (
        f'attachment; filename="evaluation-v{model.number}-snapshot-{found.snapshot.number}.json"'
    )
    return response
