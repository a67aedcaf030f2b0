"""REST of runs, models, scores and policy: shapes, roles, scopes, conflicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rest_framework.test import APIClient

from labeling.models import Comparison
from tests.workers.app.conftest import Trained
from tests.workers.app.world import World
from webapp.jobs.models import Job
from webapp.users.models import ApiToken, User
from workers.models import RetrainPolicy, RewardModel, Score, TrainingRun
from workers.reward.config import TRANSFORMER_LIMITS

BASE = "/api/v1/projects/world"


def client_of(user: User, *scopes: str) -> APIClient:
    client = APIClient()
    if scopes:
        _row, token = ApiToken.objects.create(user=user)
        ApiToken.objects.filter(user=user).update(scopes=list(scopes))
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    else:
        client.force_login(user)
    return client


def get(trained: Trained, path: str, role: str = "viewer") -> Any:
    response = client_of(trained.people[role]).get(f"{BASE}/{path}")
    assert response.status_code == 200, response.content
    return response.json()


def test_runs_are_listed_and_shown_with_their_figures(trained: Trained) -> None:
    listed = get(trained, "training-runs")["results"]
    assert [(row["id"], row["state"], row["reward_model"]) for row in listed] == [(trained.run.pk, "done", 1)]
    shown = get(trained, f"training-runs/{trained.run.pk}")
    assert shown["stage"] == "done"
    assert shown["metrics"]
    assert set(shown["metrics"][0]) == {"step", "values"}


def test_a_manager_starts_a_run_and_a_second_is_a_conflict(trained: Trained) -> None:
    client = client_of(trained.people["manager"])
    made = client.post(f"{BASE}/training-runs", {"kind": "starter", "config": {"heads": 3}}, format="json")
    assert made.status_code == 201, made.content
    assert made.json()["config"]["heads"] == 3
    assert Job.objects.filter(uid=made.json()["job_uid"], kind="reward.train").exists()
    again = client.post(f"{BASE}/training-runs", {}, format="json")
    assert again.status_code == 409
    assert "already training" in again.json()["error"]["message"]


@pytest.mark.parametrize("body", [{"kind": "magic"}, {"config": {"heads": 0}}, {"config": {"what": 1}}])
def test_wrong_settings_are_400(trained: Trained, body: dict[str, Any]) -> None:
    response = client_of(trained.people["manager"]).post(f"{BASE}/training-runs", body, format="json")
    assert response.status_code == 400
    assert TrainingRun.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_steps", 10**9),
        ("batch_tokens", 10**7),
        ("max_length", 10**6),
        ("epochs", 1e6),
        ("learning_rate", 3),
    ],
)
def test_a_setting_beyond_its_limit_is_named_with_its_range(
    trained: Trained, name: str, value: float
) -> None:
    body = {"kind": "transformer", "config": {name: value}}
    response = client_of(trained.people["manager"]).post(f"{BASE}/training-runs", body, format="json")
    low, high = TRANSFORMER_LIMITS[name]
    assert response.status_code == 400
    said = f"transformer: {name} must lie in {low:,}..{high:,}, got {value!r}"
    assert said in response.content.decode()


def test_a_run_may_read_a_snapshot_that_exists(trained: Trained) -> None:
    client = client_of(trained.people["manager"])
    made = client.post(f"{BASE}/training-runs", {"snapshot": 1}, format="json")
    assert made.json()["snapshot"] == 1
    assert client.post(f"{BASE}/training-runs", {"snapshot": 77}, format="json").status_code == 404


def test_models_tell_accuracy_and_why(trained: Trained) -> None:
    row = get(trained, "reward-models")["results"][0]
    assert (row["number"], row["state"], row["snapshot"]) == (1, "champion", 1)
    assert row["evaluation"]["n"] > 0
    shown = get(trained, "reward-models/1")
    assert shown["evaluations"][0]["report"]["slices"]
    assert shown["decisions"][0]["promote"] is True
    assert any("first model" in sentence for sentence in shown["decisions"][0]["sentences"])


def test_promote_and_rollback(trained: Trained) -> None:
    client = client_of(trained.people["manager"])
    assert client.post(f"{BASE}/reward-models/1/promote").status_code == 409
    refused = client.post(f"{BASE}/reward-models/rollback")
    assert refused.status_code == 409
    assert "no earlier champion" in refused.json()["error"]["message"]


def test_scores_are_given_by_response_and_comparison(trained: Trained) -> None:
    comparison = Comparison.objects.get(pk=trained.world.open_ids[0])
    rows = get(trained, f"scores?comparison={comparison.pk}")["results"]
    assert {row["response"] for row in rows} == {comparison.response_a_id, comparison.response_b_id}
    assert all(len(row["heads"]) == 4 for row in rows)
    one = get(trained, f"scores?response={comparison.response_a_id}&model=1")["results"]
    assert len(one) == 1
    opinion = get(trained, f"comparisons/{comparison.pk}/score")
    by_response = {row["response"]: row["value"] for row in rows}
    assert opinion["score_a"] == by_response[comparison.response_a_id]
    assert (opinion["p_a"] > 0.5) == (opinion["score_a"] > opinion["score_b"])
    assert opinion["p_tie"] is None


def test_a_model_that_learned_ties_says_how_likely_one_is(trained: Trained) -> None:
    comparison = Comparison.objects.get(pk=trained.world.open_ids[0])
    RewardModel.objects.update(metrics={"tie_threshold": 3.0, "tie_temperature": 2.0})
    opinion = get(trained, f"comparisons/{comparison.pk}/score")
    a, b = (
        Score.objects.get(response_id=pk).head_values.astype(float)
        for pk in (comparison.response_a_id, comparison.response_b_id)
    )
    won, lost = (1 / (1 + np.exp(np.log(3) - sign * (a - b) / 2)) for sign in (1, -1))
    assert opinion["p_tie"] == pytest.approx((1 - won - lost).mean(), abs=1e-6)


@pytest.mark.parametrize("query", ["response=x", "comparison=-1", "model=1e3"])
def test_a_bad_number_is_400(trained: Trained, query: str) -> None:
    assert client_of(trained.people["viewer"]).get(f"{BASE}/scores?{query}").status_code == 400


def test_the_policy_is_read_and_set(trained: Trained) -> None:
    client = client_of(trained.people["manager"])
    assert client.get(f"{BASE}/retrain-policy").json()["is_enabled"] is False
    saved = client.put(
        f"{BASE}/retrain-policy",
        {"is_enabled": True, "every_n_labels": 50, "cron": "0 3 * * *"},
        format="json",
    )
    assert saved.status_code == 200, saved.content
    assert saved.json()["next_due"]
    kept = client.put(f"{BASE}/retrain-policy", {"every_n_labels": 60}, format="json").json()
    assert (kept["cron"], kept["every_n_labels"]) == ("0 3 * * *", 60)
    wrong = client.put(f"{BASE}/retrain-policy", {"cron": "nonsense"}, format="json")
    assert wrong.status_code == 400
    assert RetrainPolicy.objects.get().cron == "0 3 * * *"


READS = [
    "training-runs",
    "training-runs/{run}",
    "reward-models",
    "reward-models/1",
    "scores",
    "comparisons/{c}/score",
]
WRITES = ["training-runs", "reward-models/1/promote", "reward-models/rollback", "reward-models/score"]


def test_roles_and_scopes(trained: Trained) -> None:
    """Viewers read; labelers see nothing of models; strangers see nothing at all; only managers write."""
    fill = {"run": trained.run.pk, "c": trained.world.open_ids[0]}
    for path in READS:
        url = f"{BASE}/{path.format(**fill)}"
        codes = {role: client_of(user).get(url).status_code for role, user in trained.people.items()}
        assert codes == {"manager": 200, "reviewer": 200, "viewer": 200, "labeler": 403, "stranger": 404}, (
            path
        )
        assert client_of(trained.people["manager"], "label").get(url).status_code == 403, path
    for path in WRITES:
        for role, expected in (("reviewer", 403), ("labeler", 403), ("viewer", 403), ("stranger", 404)):
            url = f"{BASE}/{path}"
            assert client_of(trained.people[role]).post(url, {}, format="json").status_code == expected, path
        assert client_of(trained.people["manager"], "read").post(url, {}, format="json").status_code == 403
    policy = f"{BASE}/retrain-policy"
    assert client_of(trained.people["reviewer"]).put(policy, {}, format="json").status_code == 403


def test_another_projects_ids_are_404(trained: Trained) -> None:
    from tests.workers.app.world import make_world

    other: World = make_world(labeled=12, unlabeled=1, slug="other")
    boss = trained.people["manager"]
    other.project.memberships.create(user=boss, role="manager")
    client = client_of(boss)
    for path in (
        f"training-runs/{trained.run.pk}",
        "reward-models/1",
        f"comparisons/{trained.world.open_ids[0]}/score",
    ):
        assert client.get(f"/api/v1/projects/other/{path}").status_code == 404, path
