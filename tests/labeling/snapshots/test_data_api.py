"""REST of projects, comparisons, preferences, agreement, snapshots and exports."""

from __future__ import annotations

import hashlib
import json

import pytest
from rest_framework.test import APIClient

from labeling.models import Comparison, Preference, Role, Snapshot
from labeling.services.allocation import lease_next
from labeling.services.preferences import preference_submit
from labeling.services.ranking import ranking_next
from labeling.services.snapshots import snapshot_build, snapshot_create
from tests.labeling.ranking.builders import SCHEME, add_prompt, rank, ranking_project
from tests.labeling.ranking.builders import make_labeler as ranking_labeler
from tests.labeling.resolution.builders import labeled_project, make_labeler, make_user, vote
from webapp.users.models import ApiToken

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return labeled_project(6, outcomes="aabt", slug="data")


def client_of(user, *scopes) -> APIClient:
    client = APIClient()
    if scopes:
        _token, secret = ApiToken.objects.create(user, name="test", scopes=list(scopes))
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    else:
        client.force_authenticate(user)
    return client


@pytest.fixture
def viewer(project):
    return client_of(make_user(project, Role.VIEWER), "read")


@pytest.fixture
def manager(project):
    return client_of(make_user(project, Role.MANAGER), "read", "write")


def ready(project) -> Snapshot:
    return snapshot_build(snapshot_create(project=project, enqueue=False))


@pytest.mark.parametrize("extra", [1, 5])
def test_the_list_of_projects_costs_the_same_however_long(project, django_assert_num_queries, extra):
    user = make_user(project, Role.REVIEWER)
    for _ in range(extra):
        other = labeled_project(0)
        other.memberships.create(user=user, role=Role.LABELER)
    client = client_of(user)
    with django_assert_num_queries(1):
        found = client.get("/api/v1/projects").json()["results"]
    assert {row["slug"]: row["role"] for row in found}["data"] == "reviewer"
    assert len(found) == extra + 1


def test_a_project_with_its_counts(viewer, project):
    found = viewer.get("/api/v1/projects/data").json()
    assert found["role"] == "viewer"
    assert found["progress"]["total"] == 6
    labeler = client_of(make_user(project, Role.LABELER))
    assert labeler.get("/api/v1/projects/data").json()["progress"] is None


def test_managers_start_projects_and_others_do_not(manager, project):
    made = manager.post("/api/v1/projects", {"name": "Next", "slug": "next", "overlap": 2}, format="json")
    assert made.status_code == 201
    assert (made.json()["slug"], made.json()["role"]) == ("next", "manager")
    labeler = client_of(make_user(project, Role.LABELER), "read", "write")
    assert labeler.post("/api/v1/projects", {"name": "No", "slug": "no"}, format="json").status_code == 403


def test_comparisons_with_filters_by_cursor(viewer, project):
    first = viewer.get("/api/v1/projects/data/comparisons", {"page_size": 4}).json()
    rest = viewer.get(first["next"]).json()
    ids = [row["id"] for row in first["results"] + rest["results"]]
    assert ids == list(
        Comparison.objects.filter(project=project).order_by("-pk").values_list("pk", flat=True)
    )
    row = first["results"][0]
    assert {row["response_a"]["model"], row["response_b"]["model"]} == {"model-one", "model-two"}
    assert row["resolution"]["votes_a"] + row["resolution"]["votes_b"] + row["resolution"]["votes_tie"] == 2
    ties = viewer.get("/api/v1/projects/data/comparisons", {"outcome": "tie"}).json()["results"]
    assert ties
    assert {entry["resolution"]["outcome"] for entry in ties} == {"tie"}
    refused = viewer.get("/api/v1/projects/data/comparisons", {"state": "asleep"})
    assert refused.status_code == 400
    assert "state" in refused.json()["error"]["detail"]
    assert viewer.get(f"/api/v1/projects/data/comparisons/{ids[0]}").json()["id"] == ids[0]


@pytest.mark.parametrize("size", [2, 6])
def test_comparisons_cost_the_same_however_many(viewer, django_assert_num_queries, size):
    address = f"/api/v1/projects/data/comparisons?page_size={size}"
    viewer.get(address)
    with django_assert_num_queries(6):  # token, project, role, what is in hand, ids, rows
        assert len(viewer.get(address).json()["results"]) == size


def test_preferences_all_revisions_or_what_stands(viewer, project):
    old = Preference.objects.filter(project=project).first()
    new = vote(old.comparison, old.labeler, "both_bad")
    gone = make_labeler(project, "gone")
    vote(old.comparison, gone, "a")
    vote(old.comparison, gone, "withdrawn")
    address = "/api/v1/projects/data/preferences"
    everything = viewer.get(address).json()["results"]
    assert len(everything) == 15
    standing = viewer.get(address, {"latest": "true", "comparison": old.comparison_id}).json()["results"]
    assert old.pk not in {row["id"] for row in standing}
    assert {row["labeler"]["name"] for row in standing} == {"Labeler 0", "Labeler 1"}
    assert (
        next(
            row["id"]
            for row in viewer.get(address, {"above": old.pk, "labeler": old.labeler.uid}).json()["results"]
        )
        == new.pk
    )
    assert viewer.get(address, {"labeler": "somebody"}).status_code == 400


def test_agreement_says_null_until_there_is_enough(viewer):
    found = viewer.get("/api/v1/projects/data/agreement").json()
    assert (found["comparisons"], found["minimum"], found["pairwise"]) == (6, 50, None)


def test_snapshots_are_made_and_listed(manager, viewer, project):
    made = manager.post("/api/v1/projects/data/snapshots", {"config": {"min_labels": 2}}, format="json")
    assert made.status_code == 202
    assert (made.json()["number"], made.json()["state"]) == (1, "making")
    snapshot_build(Snapshot.objects.get(project=project))
    [found] = viewer.get("/api/v1/projects/data/snapshots").json()["results"]
    assert (found["state"], found["row_count"], found["stale"]) == ("ready", 6, False)
    assert viewer.get("/api/v1/projects/data/snapshots/1").json() == found
    assert viewer.post("/api/v1/projects/data/snapshots", {}, format="json").status_code == 403
    refused = manager.post("/api/v1/projects/data/snapshots", {"config": {"seed": -1}}, format="json")
    assert refused.status_code == 400
    assert "seed" in str(refused.json()["error"]["detail"])


def test_the_export_streams_with_hash_and_manifest(viewer, project):
    ready(project)
    answer = viewer.get("/api/v1/projects/data/snapshots/1/export?layout=trl-implicit&format=jsonl")
    data = b"".join(answer.streaming_content)
    assert list(json.loads(data.splitlines()[0])) == ["chosen", "rejected"]
    manifest = viewer.get(
        "/api/v1/projects/data/snapshots/1/manifest?layout=trl-implicit&format=jsonl"
    ).json()
    assert manifest["sha256"] == answer.headers["X-Chosen-SHA256"] == hashlib.sha256(data).hexdigest()
    etag = answer.headers["ETag"]
    again = viewer.get(
        "/api/v1/projects/data/snapshots/1/export?layout=trl-implicit", headers={"If-None-Match": etag}
    )
    assert again.status_code == 304


def test_any_accept_header_will_do_for_an_export(viewer, project):
    ready(project)
    answer = viewer.get(
        "/api/v1/projects/data/snapshots/1/export?format=parquet", headers={"Accept": "text/plain"}
    )
    assert b"".join(answer.streaming_content)[:4] == b"PAR1"


def test_exports_that_cannot_be_say_why(viewer, project):
    ready(project)
    refused = viewer.get("/api/v1/projects/data/snapshots/1/export?layout=alpaca&colour=red")
    assert refused.status_code == 400
    assert set(refused.json()["error"]["detail"]) == {"colour"}
    snapshot_create(project=project, enqueue=False)
    unready = viewer.get("/api/v1/projects/data/snapshots/2/export")
    assert unready.status_code == 409
    assert "not ready" in unready.json()["error"]["message"]


PATHS = [
    "comparisons",
    "comparisons/1",
    "preferences",
    "agreement",
    "snapshots",
    "snapshots/1",
    "snapshots/1/export",
]


@pytest.mark.parametrize("path", PATHS)
def test_labelers_strangers_and_tokens_without_the_scope_get_nothing(project, path):
    address = f"/api/v1/projects/data/{path}"
    assert client_of(make_user(project, Role.LABELER), "read").get(address).status_code == 403
    assert client_of(make_user(), "read").get(address).status_code == 404
    assert client_of(make_user(project, Role.MANAGER), "label").get(address).status_code == 403
    assert APIClient().get(address).status_code == 401


def test_a_project_tells_its_whole_label_scheme_and_takes_none(manager, project):
    project.scheme = {"steps": 6, "aspects": [{"key": "facts", "name": "Facts"}], "reasons": ["wrong"]}
    project.save(update_fields=["scheme"])
    scheme = manager.get("/api/v1/projects/data").json()["scheme"]
    assert (scheme["steps"], scheme["reasons"], scheme["rationale"]) == (6, ["wrong"], "optional")
    assert scheme["aspects"] == [{"key": "facts", "name": "Facts", "steps": 2}]
    labeler = client_of(make_user(project, Role.LABELER), "read")
    assert labeler.get("/api/v1/projects/data").json()["scheme"] == scheme
    made = manager.post(
        "/api/v1/projects", {"name": "N", "slug": "n", "scheme": {"steps": 2, "spans": True}}, format="json"
    )
    assert (made.status_code, made.json()["scheme"]["steps"], made.json()["scheme"]["spans"]) == (
        201,
        8,
        False,
    )


def test_preferences_give_marked_passages_aspect_strengths_and_the_ranking():
    aspects = [{"key": "facts", "name": "Facts", "steps": 8}]
    project = ranking_project(slug="ranks", scheme={**SCHEME, "reasons": ["wrong"], "aspects": aspects})
    add_prompt(project, 3)
    add_prompt(project, 2)
    labeler = ranking_labeler(project)
    ranking = rank(ranking_next(labeler), [1, 2, 2])
    lease = lease_next(labeler)[0]
    span = {"side": "left", "quote": "Answer", "nth": 0, "reason": "wrong"}
    said = {"choice": "2", "spans": [span], "aspects": {"facts": "1"}}
    row = preference_submit(assignment=lease, data=said, idempotency_key="k2")
    viewer = client_of(make_user(project, Role.VIEWER))
    found = {
        entry["id"]: entry for entry in viewer.get("/api/v1/projects/ranks/preferences").json()["results"]
    }
    told = found.pop(row.pk)
    assert (told["spans"], told["aspect_strengths"], told["ranking"]) == (row.spans, {"facts": 4}, None)
    assert told["spans"][0]["response"] == row.shown_left_id
    assert [(entry["ranking"], entry["spans"]) for entry in found.values()] == [(str(ranking.uid), None)] * 3
