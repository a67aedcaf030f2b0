"""Scorers whose weights are given, registered in a project by a run: evaluated, judged by the gate, scored with."""

from __future__ import annotations

import numpy as np
import pytest
from django.urls import reverse

from labeling.models import Role
from tests.factories import make_member
from tests.workers.app.world import World
from tests.workers.reward.test_scorers import write_causal, write_classifier
from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job, JobState
from workers.errors import BadTrainingConfig
from workers.models import ModelKind, ModelState, RunState, Score, TrainingRun
from workers.reasons import sentences
from workers.reward.measure import read_reports
from workers.reward.types import Pair
from workers.services.held_out import held_out, score_pairs
from workers.services.training import check_base, training_start


def register(world: World, kind: str, **config: object) -> TrainingRun:
    run = training_start(project=world.project, kind=kind, config=config)
    job = run_inline(Job.objects.get(uid=run.job_uid), reraise=True)
    assert job.state == JobState.DONE, job.error
    return TrainingRun.objects.select_related("reward_model", "snapshot").get(pk=run.pk)


def test_a_policy_trained_by_dpo_is_registered_evaluated_and_judged(
    world: World, client, tmp_path, settings
) -> None:
    settings.MODEL_DIRS = [str(tmp_path)]
    policy, reference = (write_causal(tmp_path / name, seed) for seed, name in enumerate(("policy", "base")))
    run = register(world, "dpo", model=policy, reference=reference, device="cpu", max_length=256)
    model = run.reward_model
    assert (run.state, model.kind, model.get_kind_display()) == (RunState.DONE, "dpo", "DPO policy")
    assert model.config["reference"] == reference
    assert model.temperature != 1.0
    evaluation = model.evaluations.get()
    assert evaluation.n > 5
    # What was not made of the project's labels has no first place for free.
    assert model.state == ModelState.REJECTED
    failed = {reason["code"] for reason in model.gate_decisions.get().reasons if not reason["passed"]}
    assert "enough_pairs" in failed
    assert not Score.objects.filter(reward_model=model).exists()
    kept = read_reports(model.folder)
    assert kept[f"snapshot {run.snapshot.number}, test"]["n"] == evaluation.n
    client.force_login(make_member(world.project, Role.MANAGER))
    page = client.get(reverse("workers:model-detail", args=[world.project.slug, model.number]))
    assert "DPO policy" in page.content.decode()
    assert (
        "DPO policy" in client.get(reverse("workers:model-list", args=[world.project.slug])).content.decode()
    )


@pytest.mark.parametrize("kind", ["random", "longest"])
def test_a_baseline_never_becomes_champion_by_itself(world: World, kind: str) -> None:
    model = register(world, kind).reward_model
    assert model.state == ModelState.REJECTED
    reasons = model.gate_decisions.get().reasons
    assert "baseline" in {reason["code"] for reason in reasons if not reason["passed"]}
    assert any("there to be beaten" in sentence.text for sentence in sentences(reasons))


def test_a_pair_model_is_asked_about_pairs(world: World, tmp_path, settings) -> None:
    settings.MODEL_DIRS = [str(tmp_path)]
    folder = write_classifier(tmp_path / "pair", 1)
    run = register(world, "pair", model=folder, max_length=128, device="cpu")
    assert run.reward_model.evaluations.get().n > 5


class Later:
    """Prefers the text that comes later in the alphabet, and scores no response by itself."""

    kind, template_hash, temperature = "pair", "", 2.0

    def __init__(self) -> None:
        self.asked: list[int] = []

    def difference(self, pairs: list[Pair], *, callbacks: object = None) -> np.ndarray:
        self.asked.append(len(pairs))
        return np.array([float(pair.chosen > pair.rejected) for pair in pairs])


def test_pairs_are_compared_a_few_at_a_time(world: World, monkeypatch) -> None:
    run = register(world, "longest")
    pairs = list(held_out(run.snapshot))
    monkeypatch.setattr("workers.services.held_out.SCORE_ITEMS", 8)
    scorer = Later()
    found = score_pairs(scorer, iter(pairs))
    assert (np.asarray(found.chosen) - np.asarray(found.rejected)).tolist() == [
        float(pair.chosen > pair.rejected) for pair in pairs
    ]
    assert max(scorer.asked) == 4
    assert sum(scorer.asked) == len(pairs)
    assert found.temperature == 2.0


@pytest.mark.parametrize(
    ("kind", "config", "said"),
    [
        ("dpo", {}, "dpo: model must name a folder or a hub id"),
        ("dpo", {"model": "x", "heads": 2}, "unknown setting for a scorer: heads"),
        ("perplexity", {"model": "x", "max_length": 1}, "max_length must lie in"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_queued(
    world: World, kind: str, config: dict, said: str
) -> None:
    with pytest.raises(BadTrainingConfig, match=said):
        training_start(project=world.project, kind=kind, config=config)
    assert not TrainingRun.objects.exists()


def test_in_production_a_scorers_folders_must_be_allowed(settings, tmp_path, world: World) -> None:
    settings.EMBEDDED, settings.DATA_DIR, settings.MODEL_DIRS = False, tmp_path, [str(tmp_path / "allowed")]
    check_base(world.project, {"model": str(tmp_path / "allowed" / "x"), "reference": "owner/name"})
    for key in ("model", "reference"):
        with pytest.raises(BadTrainingConfig, match=f"{key}: a local folder must lie in CHOSEN_MODEL_DIRS"):
            check_base(world.project, {"model": "owner/name", key: "/etc/passwd"})


def test_a_scorer_is_registered_on_the_page_and_over_rest(world: World, client) -> None:
    client.force_login(make_member(world.project, Role.MANAGER))
    page = reverse("workers:run-new", args=[world.project.slug])
    answer = client.post(page, {"kind": "dpo", "model": "", "beta": "0.2"})
    assert "model must name" in answer.content.decode()
    answer = client.post(page, {"kind": "perplexity", "model": "owner/name"})
    run = TrainingRun.objects.get()
    assert answer.status_code == 302
    assert (run.kind, run.config["model"]) == ("perplexity", "owner/name")
    run.delete()
    answer = client.post(
        f"/api/v1/projects/{world.project.slug}/training-runs",
        {"kind": "dpo", "config": {"model": "owner/name", "beta": 0.2}},
        content_type="application/json",
    )
    assert answer.status_code == 201, answer.content
    assert TrainingRun.objects.get().config["beta"] == 0.2


def test_every_kind_of_the_app_is_one_of_the_library(world: World) -> None:
    from workers.reward.config import KINDS
    from workers.reward.scorers import SCORER_KINDS

    assert set(ModelKind.values) == set(KINDS) | set(SCORER_KINDS)
