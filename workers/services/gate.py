"""The only place that makes a champion (invariant 7): one transaction, with its reasons stored.

Every change of champion leaves a `GateDecision`; those by hand leave an audit event too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.models import Project
from webapp.audit.services import record
from webapp.users.models import User
from webapp.webhooks.events import event_emit
from workers.errors import ChampionMoved, PromotionRefused
from workers.models import DecisionKind, GateDecision, ModelState, RewardModel, TrainingRun
from workers.selectors.models import champion_of, rollback_target
from workers.services.defaults import COMPARE_ALONE


def _lock_project(project_id: int) -> None:
    """Line up with every other change of champion in this project."""
    Project.objects.select_for_update().get(pk=project_id)


def _crown(model: RewardModel, previous: RewardModel | None) -> None:
    """Retire the champion, then crown the model: in this order, the constraint allows one at a time."""
    if previous is not None:
        RewardModel.objects.filter(pk=previous.pk).update(state=ModelState.RETIRED)
    RewardModel.objects.filter(pk=model.pk).update(state=ModelState.CHAMPION)
    model.state = ModelState.CHAMPION


def gate_apply(
    *,
    run: TrainingRun,
    candidate: RewardModel,
    champion: RewardModel | None,
    promote: bool,
    reasons: Sequence[dict[str, Any]],
) -> GateDecision:
    """Store the automatic decision of a run and carry it out. A run decides once: a second call changes
    nothing.

    `champion` is the one that the candidate was held against. Raises ChampionMoved when it is no longer the
    champion, so that the caller compares again.
    """
    with transaction.atomic():
        _lock_project(run.project_id)
        made = GateDecision.objects.filter(run=run, kind=DecisionKind.AUTOMATIC).first()
        if made is not None:
            return made
        current = champion_of(run.project)
        crowned_by_hand = current is not None and current.pk == candidate.pk
        if crowned_by_hand:
            promote, reasons = True, [*reasons, {"code": "crowned_meanwhile", "passed": True}]
        elif (current.pk if current else None) != (champion.pk if champion else None):
            raise ChampionMoved
        elif promote:
            _crown(candidate, current)
        else:
            RewardModel.objects.filter(pk=candidate.pk).update(state=ModelState.REJECTED)
            candidate.state = ModelState.REJECTED
        decision = GateDecision.objects.create(
            project=run.project,
            run=run,
            candidate=candidate,
            previous_champion=None if crowned_by_hand else current,
            kind=DecisionKind.AUTOMATIC,
            promote=promote,
            reasons=list(reasons),
        )
        if not crowned_by_hand:  # of that one, whoever crowned it has told
            _tell(decision)
        return decision


def _crown_by_hand(model: RewardModel, *, user: User | None, kind: DecisionKind, code: str) -> GateDecision:
    """Crown inside the caller's transaction and leave both records. The caller holds the project's lock."""
    if not (model.folder / "manifest.json").is_file():
        raise PromotionRefused(_("The files of %(model)s are missing; it cannot serve.") % {"model": model})
    current = champion_of(model.project)
    if current is not None and current.pk == model.pk:
        raise PromotionRefused(_("%(model)s is already the champion.") % {"model": model})
    _crown(model, current)
    decision = GateDecision.objects.create(
        project=model.project,
        candidate=model,
        previous_champion=current,
        kind=kind,
        promote=True,
        reasons=[{"code": code, "by": str(user) if user else ""}],
        user=user,
    )
    record(
        action=f"reward_model.{kind.value}",
        subject=str(model),
        actor=user,
        project_id=model.project_id,
        previous=str(current) if current else None,
    )
    _tell(decision)
    return decision


def _tell(decision: GateDecision) -> None:
    """Webhooks hear of the decision inside its transaction."""
    if decision.kind == DecisionKind.ROLLBACK:
        kind = "model.rolled_back"
    else:
        kind = "model.promoted" if decision.promote else "model.refused"
    previous = decision.previous_champion
    data = {
        "model": decision.candidate.number,
        "previous_champion": previous.number if previous else None,
        "decided": decision.kind,
        "reasons": [str(reason.get("code", "")) for reason in decision.reasons],
    }
    event_emit(project_id=decision.project_id, kind=kind, data=data)


def model_promote(*, model: RewardModel, user: User | None) -> GateDecision:
    """Make any finished model that scores responses champion by hand, whatever the gate said of it. Raises
    PromotionRefused."""
    if model.kind in COMPARE_ALONE:
        raise PromotionRefused(
            _(
                "%(model)s says which of two responses is better and has no score for one; a champion scores every "
                "response."
            )
            % {"model": model}
        )
    with transaction.atomic():
        _lock_project(model.project_id)
        model.refresh_from_db()
        return _crown_by_hand(model, user=user, kind=DecisionKind.MANUAL, code="by_hand")


def model_rollback(*, project: Project, user: User | None) -> GateDecision:
    """Give the crown back to the champion before the present one. Raises PromotionRefused when there is
    none."""
    with transaction.atomic():
        _lock_project(project.pk)
        target = rollback_target(project)
        if target is None:
            raise PromotionRefused(_("There is no earlier champion to go back to."))
        return _crown_by_hand(target, user=user, kind=DecisionKind.ROLLBACK, code="rolled_back")
