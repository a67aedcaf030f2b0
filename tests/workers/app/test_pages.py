"""Pages of reward models, runs and policy: what they say, who may open them, what a form does."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils import translation

from labeling.models import Assignment, Comparison, Snapshot
from tests.workers.app.conftest import Trained
from tests.workers.app.world import make_world
from webapp.jobs.models import Job
from workers.charts import SMALL_POINTS, small_charts
from workers.models import GateDecision, ModelState, RetrainPolicy, RewardModel, RunMetric, TrainingRun
from workers.reasons import sentences
from workers.selectors.runs import run_metrics
from workers.services.gate import model_promote
from workers.services.training import training_start

PROJECT = "/projects/world"


def open_as(trained: Trained, role: str) -> Client:
    client = Client()
    client.force_login(trained.people[role])
    return client


def page(trained: Trained, path: str, role: str = "manager", **headers: str) -> str:
    response = open_as(trained, role).get(f"{PROJECT}/{path}", headers=headers)
    assert response.status_code == 200, response.content[:500]
    return str(response.content.decode())


def second_model(trained: Trained, state: str = ModelState.REJECTED) -> RewardModel:
    first = RewardModel.objects.get(project=trained.project, number=1)
    model = RewardModel.objects.create(
        project=trained.project,
        number=2,
        kind="starter",
        state=state,
        path=f"models/{trained.project.pk}/2",
        snapshot=first.snapshot,
        parent=first,
        code_version="x",
        template_hash="t",
    )
    model.folder.mkdir(parents=True)
    (model.folder / "manifest.json").write_text("{}")
    return model


def test_the_list_shows_versions_with_figures_and_why(trained: Trained) -> None:
    model = second_model(trained)
    reason = {
        "code": "slice_drop",
        "passed": False,
        "drop": 0.08,
        "allowed": 0.05,
        "n": 40,
        "slice": "topic=code",
    }
    GateDecision.objects.create(
        project=trained.project, candidate=model, kind="automatic", promote=False, reasons=[reason]
    )
    html = page(trained, "models/", "viewer")
    assert "★" in html
    assert "On topic: code (n 40) accuracy is 0.08 below the champion&#x27;s; only 0.05 is allowed." in html
    assert '<div class="plot"><svg' in html
    assert re.search(r'data-name="Accuracy"><span[^>]*>\d\.\d\d', html)  # its name, where the head is hidden
    assert "Train a reward model" not in html  # a viewer starts nothing


def test_an_empty_project_says_what_to_do(trained: Trained) -> None:
    other = make_world(labeled=0, unlabeled=2, slug="fresh")
    boss = trained.people["manager"]
    other.project.memberships.create(user=boss, role="manager")
    client = open_as(trained, "manager")
    assert "No reward model yet" in client.get("/projects/fresh/models/").content.decode()
    form = client.get("/projects/fresh/models/train/").content.decode()
    assert "Not enough labels yet: 0 of 10" in form
    assert "not trained yet" in client.get("/projects/fresh/panels/loop/").content.decode()
    refused = client.post("/projects/fresh/models/train/", {"kind": "starter"})
    assert "Not enough labels yet" in refused.content.decode()


def test_a_models_page_holds_its_whole_provenance(trained: Trained) -> None:
    model = RewardModel.objects.get(project=trained.project, number=1)
    html = page(trained, "models/1/", "reviewer")
    for text in (
        model.code_version,
        model.template_hash[:16],
        model.manifest_hash[:16],
        "longest wins",
        "The whole evaluation",
    ):
        assert text in html
    assert "The first model of this project" in html
    assert html.count('<div class="plot"><svg') == 1  # scores; the others are on the evaluation's page
    assert "Make champion" not in html


def test_the_form_starts_a_run_and_leads_to_its_page(trained: Trained) -> None:
    client = open_as(trained, "manager")
    response = client.post(f"{PROJECT}/models/train/", {"kind": "starter", "heads": "3", "base": "ignored"})
    run = TrainingRun.objects.first()
    assert run is not None
    assert response.url == f"{PROJECT}/models/runs/{run.pk}/"
    assert run.config["heads"] == 3
    assert run.created_by == trained.people["manager"]
    html = client.get(response.url).content.decode()
    assert "Waiting for a worker" in html
    assert f'hx-get="{response.url}"' in html
    # A second attempt leads to the run that is under way.
    again = client.post(f"{PROJECT}/models/train/", {"kind": "transformer", "base": "tiny"})
    assert again.url == response.url


def test_the_form_names_the_setting_that_allows_local_folders(trained: Trained) -> None:
    assert "setting CHOSEN_MODEL_DIRS" in page(trained, "models/train/")


@pytest.mark.parametrize(
    "fields",
    [{"kind": "x"}, {"kind": "starter", "heads": "0"}, {"kind": "transformer", "learning_rate": "5"}],
)
def test_settings_out_of_range_stay_on_the_form(trained: Trained, fields: dict[str, str]) -> None:
    response = open_as(trained, "manager").post(f"{PROJECT}/models/train/", fields)
    assert response.status_code == 200
    assert "errorlist" in response.content.decode()
    assert TrainingRun.objects.count() == 1


def test_the_live_part_is_the_page_less_its_frame(trained: Trained) -> None:
    whole = page(trained, f"models/runs/{trained.run.pk}/")
    part = page(trained, f"models/runs/{trained.run.pk}/", **{"HX-Request": "true"})
    assert "<html" in whole
    assert "<html" not in part
    assert 'data-state="done"' in part
    assert "hx-trigger" not in part  # a finished run is not polled
    assert 'class="line s0"' in part


def test_a_runs_page_draws_what_every_step_tells(trained: Trained) -> None:
    """A small drawing for each figure that came at least twice, in both languages; a lone loss term is the loss."""
    RunMetric.objects.filter(run=trained.run).delete()
    for step in range(1, 5):
        told = {
            "loss": 0.7, "loss_ranking": 0.6, "loss_centering": 0.1, "accuracy": 0.5, "margin": 0.1 * step,
            "score_min": -1.0 * step, "score_mean": 0.1, "score_max": 2.0 * step, "grad_norm": 1.5,
            "learning_rate": 1e-4 / step, "pairs_per_second": 30.0, "tokens_per_second": 4000.0,
            "padding_avoided": 0.4, "memory_mb": 900.0,
        }  # fmt: skip
        told |= {"loss_barrier": 0.1} if step == 1 else {}  # came once: no curve
        RunMetric.objects.create(run=trained.run, step=step, values=told)
    shown = page(trained, f"models/runs/{trained.run.pk}/")
    titles = re.findall(r'<h3 class="small">([^<]+)</h3>', shown)
    assert titles == [
        "Loss: ranking", "Loss: centering", "Margin, chosen over rejected", "Range of scores", "Gradient norm",
        "Learning rate", "Pairs a second", "Tokens a second", "Padding avoided", "Peak memory, MB",
    ]  # fmt: skip
    for words in ("highest", "mean", "lowest", "1.0e-04", "4,000", "40%"):
        assert words in shown, words
    with translation.override("zh-hans"):
        drawn = dict(small_charts(run_metrics(trained.run)))
        assert "分数范围" in drawn
        assert "梯度范数" in drawn
    alone = [(step, {"loss": 0.5, "loss_ranking": 0.5}) for step in range(3)]
    assert small_charts(alone) == []
    long = [(step, {"grad_norm": float(step)}) for step in range(400)]
    assert small_charts(long)[0][1].count(",") < 2 * SMALL_POINTS


def test_a_run_whose_job_was_cancelled_is_shown_as_such(trained: Trained) -> None:
    run = training_start(project=trained.project)
    Job.objects.filter(uid=run.job_uid).update(state="cancelled")
    assert 'data-state="cancelled"' in page(trained, f"models/runs/{run.pk}/")


def test_promote_and_roll_back_by_button(trained: Trained) -> None:
    second_model(trained)
    client = open_as(trained, "manager")
    assert "Make champion" in page(trained, "models/2/")
    client.post(f"{PROJECT}/models/2/promote/")
    assert RewardModel.objects.get(project=trained.project, state="champion").number == 2
    assert Job.objects.filter(kind="reward.score").count() == 1
    assert "Roll back to v1" in page(trained, "models/")
    client.post(f"{PROJECT}/models/rollback/")
    assert RewardModel.objects.get(project=trained.project, state="champion").number == 1
    assert "Brought back by" in page(trained, "models/1/")


def test_a_get_changes_nothing(trained: Trained) -> None:
    client = open_as(trained, "manager")
    for path in ("models/1/promote/", "models/rollback/", "models/score/"):
        assert client.get(f"{PROJECT}/{path}").status_code == 405


def test_the_policy_page_saves_and_explains(trained: Trained) -> None:
    client = open_as(trained, "manager")
    wrong = client.post(f"{PROJECT}/models/policy/", {"kind": "starter", "is_enabled": "on", "cron": "x"})
    assert "five fields" in wrong.content.decode()
    assert not RetrainPolicy.objects.exists()
    client.post(
        f"{PROJECT}/models/policy/",
        {
            "kind": "transformer",
            "base": "tiny",
            "ranking": "rao_kupper",
            "is_enabled": "on",
            "cron": "0 3 * * *",
            "every_n_labels": "20",
        },
    )
    policy = RetrainPolicy.objects.get()
    assert (policy.kind, policy.config, policy.every_n_labels) == (
        "transformer",
        {"base": "tiny", "ranking": "rao_kupper"},
        20,
    )
    html = page(trained, "models/policy/")
    assert "Next by schedule" in html
    assert 'value="0 3 * * *"' in html


PAGES = [
    "models/",
    "models/1/",
    "models/1/evaluation/",
    "models/1/evaluation.json",
    "models/compare/",
    "models/runs/{run}/",
    "panels/loop/",
    "panels/champion/",
    "panels/accuracy/",
    "panels/attention/",
]
MANAGER_PAGES = ["models/train/", "models/preview/", "models/policy/"]
ACTIONS = [
    "models/1/evaluation/",
    "models/compare/",
    "models/preview/",
    "models/1/promote/",
    "models/rollback/",
    "models/score/",
    "models/train/",
    "models/policy/",
]


def test_who_may_open_what(trained: Trained) -> None:
    for path in PAGES:
        url = f"{PROJECT}/{path.format(run=trained.run.pk)}"
        codes = {role: open_as(trained, role).get(url).status_code for role in trained.people}
        assert codes == {"manager": 200, "reviewer": 200, "viewer": 200, "labeler": 403, "stranger": 404}, (
            path
        )
    for path in MANAGER_PAGES:
        codes = {role: open_as(trained, role).get(f"{PROJECT}/{path}").status_code for role in trained.people}
        assert codes == {"manager": 200, "reviewer": 403, "viewer": 403, "labeler": 403, "stranger": 404}, (
            path
        )
    for path in ACTIONS:
        for role, code in (("reviewer", 403), ("labeler", 403), ("viewer", 403), ("stranger", 404)):
            assert open_as(trained, role).post(f"{PROJECT}/{path}").status_code == code, path
    assert Client().get(f"{PROJECT}/models/").status_code == 302


def test_a_labeler_sees_the_champions_view_only_after_the_vote(trained: Trained) -> None:
    """Invariant 3."""
    from django.utils import timezone

    from labeling.access import labeler_for

    comparison = Comparison.objects.get(pk=trained.world.open_ids[0])
    url = f"{PROJECT}/panels/comparisons/{comparison.pk}/"
    client = open_as(trained, "labeler")
    assert client.get(url).status_code == 404
    Assignment.objects.create(
        comparison=comparison,
        labeler=labeler_for(trained.people["labeler"], trained.project),
        state="submitted",
        swapped=False,
        drawn="priority",
        lease_expires_at=timezone.now(),
    )
    assert "reward model v1" in client.get(url).content.decode()
    trained.project.reveal_after_vote = False
    trained.project.save()
    assert client.get(url).status_code == 404
    assert open_as(trained, "stranger").get(url).status_code == 404


def test_the_panel_is_mirrored_for_a_swapped_screen(trained: Trained) -> None:
    url = f"panels/comparisons/{trained.world.open_ids[0]}/"
    straight, mirrored = page(trained, url, "viewer"), page(trained, f"{url}?left=b", "viewer")
    p, q = (float(re.search(r"P\(A better\) (\d\.\d+)", html)[1]) for html in (straight, mirrored))
    assert p + q == pytest.approx(1.0, abs=0.011)
    assert ("outcome-a" in straight) == ("outcome-b" in mirrored)


def test_the_panel_names_the_chance_of_a_tie_where_the_model_learned_ties(trained: Trained) -> None:
    url = f"panels/comparisons/{trained.world.open_ids[0]}/"
    assert "P(tie)" not in page(trained, url, "viewer")
    RewardModel.objects.update(metrics={"tie_threshold": 3.0, "tie_temperature": 2.0})
    found = re.search(r"P\(tie\) (\d\.\d+)", page(trained, url, "viewer"))
    assert found is not None
    assert 0.0 < float(found[1]) <= 0.5  # at θ = 3 equal scores tie half the time


def test_an_unscored_comparison_is_no_tie(trained: Trained) -> None:
    import random

    from tests.workers.app.world import add_comparison

    comparison, _outcome = add_comparison(trained.world, random.Random(8), 8000)
    html = page(trained, f"panels/comparisons/{comparison.pk}/", "viewer")
    assert "not scored yet" in html
    assert "outcome-" not in html


def test_every_reason_code_of_the_gate_has_a_sentence() -> None:
    numbers = {
        "n": 3, "minimum": 5, "accuracy": 0.5, "longest": 0.6, "difference": 0.1, "low": 0.0, "high": 0.2,
        "risk": 0.4, "allowed": 0.5, "drop": 0.1, "slice": "length=similar", "by": "Ann",
    }  # fmt: skip
    from workers.reasons import WORDS

    for code in WORDS:
        for passed in (True, False):
            text = sentences([{"code": code, "passed": passed, **numbers}])[0].text
            assert text.endswith(".")
            assert text != code
    assert sentences([{"code": "from_the_future"}])[0].text == "from_the_future"
    with translation.override("zh-hans"):
        assert sentences([{"code": "by_hand", "by": "Ann"}])[0].passed is None


@pytest.mark.parametrize(
    ("code", "numbers", "told"),
    [
        ("enough_pairs", {"n": 41, "minimum": 50}, ["pairs", "41", "50"]),
        ("beats_chance", {"accuracy": 0.48, "chance": 0.5}, ["accuracy", "0.48", "0.50"]),
        (
            "beats_longest",
            {"accuracy": 0.61, "longest": 0.6, "margin": 0.02},
            ["accuracy", "0.61", "0.60", "0.62"],
        ),
        (
            "better_than_champion",
            {"difference": -0.049, "low": -0.174, "high": 0.091, "minimum": 0.01},
            ["difference in accuracy", "−0.049", "−0.174", "+0.091", "+0.010"],
        ),
        ("risk_of_worse", {"risk": 0.72, "allowed": 0.3}, ["accurate", "72 %", "30 %"]),
        (
            "slice_drop",
            {"drop": 0.08, "allowed": 0.05, "n": 40, "slice": "topic=code"},
            ["accuracy", "0.08", "0.05", "40", "code"],
        ),
    ],
)
def test_a_rule_states_its_measure_its_value_and_its_limit(
    code: str, numbers: dict[str, object], told: list[str]
) -> None:
    for passed in (True, False):
        text = sentences([{"code": code, "passed": passed, **numbers}])[0].text
        assert [part for part in told if part not in text] == []


def test_a_run_that_was_not_promoted_says_why(trained: Trained) -> None:
    decision = GateDecision.objects.get(run=trained.run)
    decision.promote = False
    decision.reasons = [{"code": "risk_of_worse", "passed": False, "risk": 0.72, "allowed": 0.3}]
    decision.save()
    html = page(trained, f"models/runs/{trained.run.pk}/", "viewer")
    assert "Less accurate than the champion in 72 % of resamples; only 30 % is allowed." in html


def test_a_crowned_model_is_the_one_that_panels_show(trained: Trained) -> None:
    model_promote(model=second_model(trained), user=None)
    assert "champion v2" in page(trained, "panels/champion/")
    # It has not scored anything yet, and the list offers to do so.
    assert "Score them and re-order the queue" in page(trained, "models/")


def test_a_snapshot_that_is_not_ready_is_refused_and_not_replaced_by_another(
    trained: Trained,
) -> None:
    second_model(trained)
    Snapshot.objects.create(project=trained.project, number=9)  # still being made
    client = open_as(trained, "manager")
    for address in (f"{PROJECT}/models/1/evaluation/", f"{PROJECT}/models/compare/"):
        asked = {"a": "1", "b": "2", "snapshot": "9"}
        for answer in (client.get(address, asked), client.post(address, asked)):
            assert answer.status_code == 404
    sent = {"snapshot": 9}
    api = f"/api/v1{PROJECT}/reward-models/1/evaluation"
    assert client.post(api, sent, content_type="application/json").status_code == 409
    assert not Job.objects.filter(kind__in=["reward.evaluate", "reward.compare"]).exists()
