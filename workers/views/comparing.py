"""Two models on the same held-out pairs: choose them, have them compared, read the result."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from labeling.access import Capability, project_for
from labeling.models import Project, Snapshot
from labeling.pages import project_context
from webapp.ui.tracks import gap_scale, interval_track
from webapp.users.models import User
from workers.access import disagreements_for, models_for
from workers.meaning import comparison_meaning
from workers.models import ModelComparison, RewardModel
from workers.selectors.evaluations import (
    comparison_of,
    comparisons_of,
    gap_range,
    range_of,
    slice_gaps,
    snapshots_to_evaluate,
)
from workers.services.comparing import comparison_job, comparison_start
from workers.views.asking import number_asked, person, snapshot_asked

MODELS_SHOWN = 100
Pair = tuple[RewardModel, RewardModel]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def compare(request: HttpRequest, slug: str) -> HttpResponse:
    """`?a=3&b=1&snapshot=4` shows that comparison; a POST of the same has it made. Without a snapshot it is the newer
    one of the two that the models were trained on. Asked for by htmx while a job works on it: the live part alone."""
    posted = request.method == "POST"
    needed = Capability.MANAGE if posted else Capability.VIEW
    project = project_for(request.user, slug, needed)
    values = request.POST if posted else request.GET
    pair = _pair_asked(request, slug, values)
    snapshot = snapshot_asked(request, slug, values) or (_snapshot_of(pair) if pair else None)
    if posted:
        return _start(request, project, pair, snapshot)
    row = comparison_of(*pair, snapshot) if pair and snapshot else None
    models = list(RewardModel.objects.filter(project=project).order_by("-number")[:MODELS_SHOWN])
    context = project_context(request, project, "models") | {
        "models": [*models, *(model for model in pair or () if model not in models)],
        "snapshots": snapshots_to_evaluate(project, snapshot),
        "snapshot": snapshot,
        "pair": pair,
        "chosen": _chosen(models, values),
        "same": number_asked(values, "a") is not None
        and number_asked(values, "a") == number_asked(values, "b"),
        "row": row,
        "job": comparison_job(row) if row and not row.report else None,
        "earlier": comparisons_of(project),
    }
    if row and row.report:
        context |= _report(cast(User, request.user), row, cast(Pair, pair))
    live = request.htmx  # type: ignore[attr-defined]
    return render(request, "workers/_compare.html" if live else "workers/compare.html", context)


def _pair_asked(request: HttpRequest, slug: str, values: QueryDict) -> Pair | None:
    """The two models that `a` and `b` name; None while they do not name two."""
    a, b = number_asked(values, "a"), number_asked(values, "b")
    if a is None or b is None or a == b:
        return None
    return models_for(request.user, slug, a, b)


def _snapshot_of(pair: Pair) -> Snapshot:
    return max((model.snapshot for model in pair), key=lambda snapshot: snapshot.number)


def _chosen(models: list[RewardModel], values: QueryDict) -> dict[str, int | None]:
    """What the two lists of the form say: what was asked for, else the newest version and the one to beat."""
    first = models[0] if models else None
    others = models[1:]
    second = next((model for model in others if model.is_champion), others[0] if others else None)
    return {
        "a": number_asked(values, "a") or (first.number if first else None),
        "b": number_asked(values, "b") or (second.number if second else None),
    }


def _start(
    request: HttpRequest, project: Project, pair: Pair | None, snapshot: Snapshot | None
) -> HttpResponse:
    url = reverse("workers:model-compare", args=[project.slug])
    if pair is None or snapshot is None:
        messages.error(request, _("Choose two different models."))
        return redirect(url)
    comparison_start(model_a=pair[0], model_b=pair[1], snapshot=snapshot, created_by=person(request))
    query = {"a": pair[0].number, "b": pair[1].number, "snapshot": snapshot.number}
    return redirect(f"{url}?{urlencode(query)}")


def _report(user: User, row: ModelComparison, pair: Pair) -> dict[str, Any]:
    report = row.report
    if not report["n"]:
        return {"report": report}
    gaps = slice_gaps(report)
    scale = gap_scale(v for gap in gaps for v in (gap.gap.low, gap.gap.high))
    n = report["n"]
    return {
        "report": report,
        "said": comparison_meaning(report, *(f"▲ {model}" for model in pair)),
        "a": range_of(report["a"]["accuracy"], n),
        "b": range_of(report["b"]["accuracy"], n),
        "longest": range_of(report["a"]["longest"], n),
        "gap": gap_range(report["difference"], n),
        "slices": [(gap, interval_track(scale, gap.gap.value, gap.gap.low, gap.gap.high)) for gap in gaps],
        "scale": scale,
        "disagreements": disagreements_for(user, row.project, report),
    }
