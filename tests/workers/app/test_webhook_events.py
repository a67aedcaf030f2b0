"""What webhooks are told of the gate's decisions."""

from __future__ import annotations

import json

import pytest

from labeling.models import Project
from tests.workers.app.test_gate import make_model, make_run
from webapp.caches import page_cache
from webapp.outbound import Secret
from webapp.sealing import seal
from webapp.webhooks.models import Event, Webhook
from workers.models import ModelState
from workers.services.gate import gate_apply, model_promote, model_rollback

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    page_cache.clear()
    project = Project.objects.create(name="P", slug="p")
    Webhook.objects.create(
        project_id=project.pk,
        name="CI",
        url="https://ci.example/hook",
        secret_sealed=seal(Secret("whsec_AAAA")),
        events=["model.promoted", "model.refused", "model.rolled_back"],
    )
    return project


def told() -> list[tuple[str, dict]]:
    return [(row.kind, json.loads(row.payload)["data"]) for row in Event.objects.order_by("pk")]


def test_the_gate_tells_of_a_promotion_and_of_a_refusal_once(project: Project) -> None:
    old, new, worse = (
        make_model(project, 1, ModelState.CHAMPION),
        make_model(project, 2),
        make_model(project, 3),
    )
    reasons = [{"code": "better_than_champion", "passed": True}]
    run = make_run(project)
    gate_apply(run=run, candidate=new, champion=old, promote=True, reasons=reasons)
    gate_apply(run=run, candidate=new, champion=old, promote=True, reasons=reasons)
    gate_apply(run=make_run(project), candidate=worse, champion=new, promote=False, reasons=[])
    assert told() == [
        (
            "model.promoted",
            {"model": 2, "previous_champion": 1, "decided": "automatic", "reasons": ["better_than_champion"]},
        ),
        ("model.refused", {"model": 3, "previous_champion": 2, "decided": "automatic", "reasons": []}),
    ]


def test_a_crown_by_hand_and_its_rollback_are_told_once_each(project: Project) -> None:
    first, second = make_model(project, 1), make_model(project, 2)
    model_promote(model=first, user=None)
    gate_apply(run=make_run(project), candidate=first, champion=None, promote=False, reasons=[])
    model_promote(model=second, user=None)
    model_rollback(project=project, user=None)
    assert [(kind, data["model"]) for kind, data in told()] == [
        ("model.promoted", 1),
        ("model.promoted", 2),
        ("model.rolled_back", 1),
    ]
