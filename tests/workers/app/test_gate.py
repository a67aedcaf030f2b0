"""Invariant 7: only the gate promotes, in one transaction, with its reasons; one champion; rollback in one
click."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction

import workers
from labeling.models import Project, Snapshot
from tests.workers.app.world import World
from webapp.audit.models import AuditEvent
from webapp.users.models import User
from workers.errors import ChampionMoved, PromotionRefused
from workers.models import GateDecision, ModelState, RewardModel, TrainingRun
from workers.selectors.models import champion_of, rollback_target
from workers.services.gate import gate_apply, model_promote, model_rollback

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return Project.objects.create(name="P", slug="p")


def make_model(project: Project, number: int, state: str = ModelState.CANDIDATE) -> RewardModel:
    snapshot, _made = Snapshot.objects.get_or_create(project=project, number=1)
    model = RewardModel.objects.create(
        project=project,
        number=number,
        kind="starter",
        state=state,
        path=f"models/{project.pk}/{number}",
        snapshot=snapshot,
        code_version="x",
        template_hash="t",
    )
    model.folder.mkdir(parents=True)
    (model.folder / "manifest.json").write_text("{}")
    return model


def make_run(project: Project, state: str = "done") -> TrainingRun:
    return TrainingRun.objects.create(project=project, kind="starter", state=state)


def states(project: Project) -> dict[int, str]:
    return dict(RewardModel.objects.filter(project=project).values_list("number", "state"))


def test_a_promotion_retires_the_champion_and_keeps_its_reasons(project: Project) -> None:
    old, new = make_model(project, 1, ModelState.CHAMPION), make_model(project, 2)
    reasons = [{"code": "better_than_champion", "passed": True, "difference": 0.1, "low": 0.0, "high": 0.2}]

    decision = gate_apply(run=make_run(project), candidate=new, champion=old, promote=True, reasons=reasons)

    assert states(project) == {1: "retired", 2: "champion"}
    assert (decision.previous_champion, decision.reasons, decision.kind) == (old, reasons, "automatic")


def test_a_rejection_leaves_the_champion(project: Project) -> None:
    old, new = make_model(project, 1, ModelState.CHAMPION), make_model(project, 2)

    gate_apply(run=make_run(project), candidate=new, champion=old, promote=False, reasons=[])

    assert states(project) == {1: "champion", 2: "rejected"}


def test_a_run_decides_once(project: Project) -> None:
    run, model = make_run(project), make_model(project, 1)

    first = gate_apply(run=run, candidate=model, champion=None, promote=True, reasons=[])
    again = gate_apply(run=run, candidate=model, champion=None, promote=False, reasons=[])

    assert first == again
    assert states(project) == {1: "champion"}
    assert GateDecision.objects.count() == 1


def test_a_champion_that_changed_meanwhile_is_not_overwritten(project: Project) -> None:
    old, other, new = (make_model(project, n) for n in (1, 2, 3))
    model_promote(model=old, user=None)
    model_promote(model=other, user=None)

    with pytest.raises(ChampionMoved):
        gate_apply(run=make_run(project), candidate=new, champion=old, promote=True, reasons=[])

    assert states(project)[2] == "champion"
    assert states(project)[3] == "candidate"


def test_a_candidate_crowned_by_hand_stays_champion(project: Project) -> None:
    new, run = make_model(project, 1), make_run(project)
    model_promote(model=new, user=None)

    decision = gate_apply(run=run, candidate=new, champion=None, promote=False, reasons=[])

    assert decision.promote
    assert decision.reasons[-1]["code"] == "crowned_meanwhile"
    assert states(project) == {1: "champion"}


def test_the_database_holds_one_champion_at_most(project: Project) -> None:
    make_model(project, 1, ModelState.CHAMPION)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_model(project, 2, ModelState.CHAMPION)


def test_it_rolls_back_one_step_at_a_time(project: Project) -> None:
    user = User.objects.create(username="boss")
    models = [make_model(project, number) for number in (1, 2, 3)]
    for model in models:
        model_promote(model=model, user=user)

    assert rollback_target(project) == models[1]
    decision = model_rollback(project=project, user=user)
    assert (decision.kind, decision.previous_champion) == ("rollback", models[2])
    assert champion_of(project) == models[1]
    model_rollback(project=project, user=user)
    assert champion_of(project) == models[0]
    with pytest.raises(PromotionRefused):
        model_rollback(project=project, user=user)
    actions = list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["reward_model.manual"] * 3 + ["reward_model.rollback"] * 2


def test_a_model_without_files_cannot_be_crowned(project: Project) -> None:
    model = make_model(project, 1)
    (model.folder / "manifest.json").unlink()
    with pytest.raises(PromotionRefused):
        model_promote(model=model, user=None)
    assert states(project) == {1: "candidate"}


def test_only_the_gate_writes_the_state_champion() -> None:
    """Every `state=` keyword or assignment that could say champion stands in services/gate.py."""
    root = Path(workers.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        relative = path.relative_to(root).as_posix()
        if "migrations/" in relative:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                writes = node.func.attr in {"create", "update", "update_or_create", "get_or_create"}
                values = [k.value for k in node.keywords if k.arg == "state"] if writes else []
            elif isinstance(node, ast.Assign):
                values = [node.value] if any("state" in ast.unparse(t) for t in node.targets) else []
            else:
                continue
            if any("CHAMPION" in ast.unparse(v) or "champion" in ast.unparse(v) for v in values):
                found.add(relative)
    assert found == {"services/gate.py"}


def test_the_world_has_no_champion_before_its_first_run(world: World) -> None:
    assert champion_of(world.project) is None
    assert rollback_target(world.project) is None
