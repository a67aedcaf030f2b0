"""Reading reward models: the champion, the versions, what a rollback would bring back."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet

from labeling.models import Project
from labeling.scheme import read_scheme
from workers.models import DecisionKind, Evaluation, GateDecision, ModelState, RewardModel


def champion_of(project: Project) -> RewardModel | None:
    return RewardModel.objects.filter(project=project, state=ModelState.CHAMPION).first()


def rollback_target(project: Project) -> RewardModel | None:
    """The champion before the present one: what the decision that crowned the present one replaced.

    After a rollback from v3 to v2, the next target is the one before v2 (v1), not v3 again: the decisions
    that crowned a model by rollback are passed over in favour of its first coronation.
    """
    champion = champion_of(project)
    if champion is None:
        return None
    crowned = (
        GateDecision.objects.filter(project=project, candidate=champion, promote=True)
        .exclude(kind=DecisionKind.ROLLBACK)
        .select_related("previous_champion")
        .first()
    )
    return crowned.previous_champion if crowned else None


def versions(project: Project) -> QuerySet[RewardModel]:
    """Newest first, with the evaluations (newest first) and decisions that a list shows: three queries."""
    return (
        RewardModel.objects.filter(project=project)
        .select_related("snapshot", "parent", "run")
        .prefetch_related(
            Prefetch("evaluations", queryset=Evaluation.objects.order_by("-id")),
            Prefetch("gate_decisions", queryset=GateDecision.objects.order_by("-id")),
        )
        .order_by("-number")
    )


@dataclass(frozen=True)
class VersionRow:
    """One line of the versions table. `evaluation` is the latest on a test split, `decision` the latest."""

    model: RewardModel
    evaluation: Evaluation | None
    decision: GateDecision | None


@dataclass(frozen=True)
class AspectRow:
    """How often a model's head for one aspect prefers the response that people preferred by it: `accuracy` on `n`
    validation pairs that they told apart; None where there were none. `name` is what labelers read."""

    key: str
    name: str
    accuracy: float | None
    n: int


def aspect_rows(model: RewardModel) -> list[AspectRow]:
    """The aspects that a model was trained on, in its own order."""
    names = {aspect.key: aspect.name for aspect in read_scheme(model.project.scheme).aspects}
    return [
        AspectRow(
            key,
            names.get(key, key),
            model.metrics.get(f"aspect_accuracy_{key}"),
            int(model.metrics.get(f"aspect_pairs_{key}", 0)),
        )
        for key in model.config.get("aspects", ())
    ]


def version_rows(project: Project, *, limit: int | None = None) -> list[VersionRow]:
    models = versions(project)
    rows = []
    for model in models[:limit] if limit else models:
        evaluation = next((e for e in model.evaluations.all() if e.split == "test"), None)
        decision = next(iter(model.gate_decisions.all()), None)
        rows.append(VersionRow(model, evaluation, decision))
    return rows
