"""Reward models: the versions, one version, promote, roll back, score again."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from labeling.access import Capability, project_for
from labeling.pages import project_context
from labeling.selectors.staleness import revisions_of
from webapp.users.models import User
from workers.access import model_for
from workers.charts import accuracy_chart, baseline, score_histogram
from workers.errors import PromotionRefused
from workers.meaning import meaning
from workers.models import RewardModel
from workers.reasons import sentences, why_not
from workers.selectors.ceiling import human_ceiling
from workers.selectors.evaluations import evaluations_of, people_of, slice_rows
from workers.selectors.models import aspect_rows, champion_of, rollback_target, version_rows
from workers.selectors.panels import newest_run
from workers.selectors.runs import runs
from workers.selectors.scores import score_bins
from workers.services.defaults import COMPARE_ALONE
from workers.services.gate import model_promote, model_rollback
from workers.services.scoring import scoring_start, unscored
from workers.services.verdicts import judge_of

RUNS_SHOWN = 20
VERSIONS_SHOWN = 100


def _person(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


@login_required
@require_safe
def model_list(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.VIEW)
    rows = version_rows(project, limit=VERSIONS_SHOWN)
    ceiling = human_ceiling(project)
    revisions = revisions_of(project)
    champion = next((row.model for row in rows if row.model.is_champion), None)
    context = {
        "rows": [
            {
                "model": row.model,
                "evaluation": row.evaluation,
                "longest": baseline(row.evaluation, "longest"),
                "revised": revisions.since(row.model.snapshot),
                "why": why_not(row.decision.reasons)
                if row.decision and row.model.state == "rejected"
                else [],
            }
            for row in rows
        ],
        "chart": accuracy_chart(rows, ceiling),
        "ceiling": ceiling,
        "champion": champion,
        "unscored": unscored(champion).count() if champion else 0,
        "rollback_to": rollback_target(project),
        "line": newest_run(project),
        "runs": runs(project)[:RUNS_SHOWN],
    }
    return render(request, "workers/model_list.html", project_context(request, project, "models") | context)


def evaluation_context(model: RewardModel) -> dict[str, Any]:
    """The newest evaluation in short; its own page has the rest."""
    evaluation = evaluations_of(model).first()
    report: dict[str, Any] = evaluation.report if evaluation else {}
    baselines = evaluation.baselines if evaluation else {}
    return {
        "evaluation": evaluation,
        "report": report,
        "longest": baselines.get("longest") or {},
        "random": baselines.get("random") or {},
        "said": meaning(report, slices=slice_rows(report), people=people_of(report)) if report else [],
    }


@login_required
@require_safe
def model_detail(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    model = model_for(request.user, slug, number)
    bins = score_bins(model)
    counted = model.scores.aggregate(n=Count("pk"), truncated=Count("pk", filter=Q(is_truncated=True)))
    decisions = model.gate_decisions.select_related("previous_champion", "user", "run").order_by("-pk")
    champion = champion_of(model.project)
    context = {
        "model": model,
        "run": getattr(model, "run", None),
        "decisions": [{"decision": d, "sentences": sentences(d.reasons)} for d in decisions],
        "children": model.children.order_by("number"),
        "champion": champion,
        "ceiling": human_ceiling(model.project),
        "aspects": aspect_rows(model),
        "score_chart": score_histogram(bins),
        "score_bins": bins,
        "score_count": counted["n"],
        "truncated_count": counted["truncated"],
        "rollback_to": rollback_target(model.project) if model.is_champion else None,
        "has_files": (model.folder / "manifest.json").is_file(),
        "may_be_champion": model.kind not in COMPARE_ALONE,
        "judge": judge_of(model),
        "revised": revisions_of(model.project).since(model.snapshot),
    }
    page = project_context(request, model.project, "models") | evaluation_context(model) | context
    return render(request, "workers/model_detail.html", page)


def _after_crowning(request: HttpRequest, model: RewardModel) -> None:
    scoring_start(project=model.project, created_by=_person(request))
    messages.success(
        request,
        _("%(model)s is the champion now. It scores what it has not scored yet, and re-orders the queue.")
        % {"model": model},
    )


@login_required
@require_POST
def promote(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    model = model_for(request.user, slug, number, Capability.MANAGE)
    try:
        model_promote(model=model, user=_person(request))
    except PromotionRefused as error:
        messages.error(request, str(error))
    else:
        _after_crowning(request, model)
    return redirect("workers:model-detail", slug, number)


@login_required
@require_POST
def rollback(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.MANAGE)
    try:
        decision = model_rollback(project=project, user=_person(request))
    except PromotionRefused as error:
        messages.error(request, str(error))
    else:
        _after_crowning(request, decision.candidate)
    return redirect("workers:model-list", slug)


@login_required
@require_POST
def rescore(request: HttpRequest, slug: str) -> HttpResponse:
    """Score what is new with the champion, and re-order the queue."""
    project = project_for(request.user, slug, Capability.MANAGE)
    job = scoring_start(project=project, created_by=_person(request))
    if job is None:
        messages.error(request, _("There is no champion to score with yet. Train a model first."))
        return redirect("workers:model-list", slug)
    return redirect("jobs:detail", job.uid)
