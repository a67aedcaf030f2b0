"""Training runs: start one, watch one."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from labeling.access import Capability, project_for
from labeling.models import Resolution
from labeling.pages import project_context
from labeling.selectors.staleness import revisions_of
from webapp.users.models import User
from workers.access import run_for
from workers.charts import run_charts, small_charts
from workers.errors import BadTrainingConfig, NotEnoughLabels, TrainingBusy
from workers.forms import KindForm
from workers.models import RunState, TrainingRun
from workers.reasons import why_not
from workers.selectors.runs import (
    job_of,
    layout_words,
    pairs_per_second,
    run_metrics,
    shown_state,
    stage_lines,
)
from workers.services.training import MIN_SETTLED, training_start


@login_required
@require_http_methods(["GET", "POST"])
def run_new(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.MANAGE)
    form = KindForm(request.POST or None, project=project)
    if request.method == "POST" and form.is_valid():
        try:
            run = training_start(
                project=project,
                kind=form.cleaned_data["kind"],
                config=form.config(),
                created_by=request.user if isinstance(request.user, User) else None,
            )
        except BadTrainingConfig as error:
            form.refuse(error.setting, str(error))
        except NotEnoughLabels as error:
            form.add_error(None, str(error))
        except TrainingBusy as error:
            messages.warning(request, str(error))
            return redirect("workers:run-detail", slug, error.run.pk)
        else:
            return redirect("workers:run-detail", slug, run.pk)
    context = project_context(request, project, "models") | {
        "form": form,
        "settled": Resolution.objects.filter(project=project).count(),
        "needed": MIN_SETTLED,
    }
    return render(request, "workers/run_new.html", context)


def run_context(run: TrainingRun) -> dict[str, Any]:
    job = job_of(run)
    state = shown_state(run, job)
    metrics = run_metrics(run)
    decision = run.gate_decisions.select_related("candidate").first()
    return {
        "run": run,
        "job": job,
        "state": state,
        "is_active": state == RunState.ACTIVE,
        "stages": stage_lines(run, state),
        "charts": run_charts(metrics),
        "small_charts": small_charts(metrics),
        "latest": metrics[-1][1] if metrics else {},
        "rows": metrics[-30:],
        "pairs_per_second": pairs_per_second(run),
        "layout": layout_words(run),
        "revised": revisions_of(run.project).since(run.snapshot),
        "decision": decision,
        "why": why_not(decision.reasons) if decision and not decision.promote else [],
    }


@login_required
@require_safe
def run_detail(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The page, or (asked for by htmx) its live part alone."""
    run = run_for(request.user, slug, pk)
    context = project_context(request, run.project, "models") | run_context(run)
    live = request.htmx  # type: ignore[attr-defined]
    return render(request, "workers/_run.html" if live else "workers/run_detail.html", context)
