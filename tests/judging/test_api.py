"""REST of judging: shapes, roles, and what is refused."""

from __future__ import annotations

import pytest

from judging.models import JudgeRun
from labeling.models import Role
from tests.judging.factories import judge_both, make_project, make_user, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(settings, client):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    project = make_project(2)
    version = make_version(project)
    judge_both(version, project.comparisons.first(), "a", "b")
    client.force_login(make_user(project, Role.MANAGER))
    return project, version, f"/api/v1/projects/{project.slug}"


def send(client, url, data, method="post"):
    return getattr(client, method)(url, data, content_type="application/json")


def test_judges_and_versions(client, scene):
    _project, version, base = scene
    body = {"name": "New", "engine": "openai", "endpoint": str(version.endpoint.uid), "max_tokens": 50}
    made = send(client, f"{base}/judges", body)
    assert made.status_code == 201, made.content
    assert made.json()["sampling"]["max_tokens"] == 50
    assert send(client, f"{base}/judges", body).status_code == 400
    assert {row["name"] for row in client.get(f"{base}/judges").json()["results"]} == {"Judge", "New"}
    one = f"{base}/judges/{made.json()['judge']}"
    second = send(client, f"{one}/versions", body | {"rubric": "Be kind."})
    assert (second.status_code, second.json()["number"]) == (201, 2)
    assert [row["number"] for row in client.get(one).json()["versions"]] == [2, 1]
    assert client.delete(one).status_code == 204
    assert client.get(one).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"engine": "telepathy"}, "engine"),
        ({"engine": "openai"}, "endpoint"),
        ({"engine": "scorer", "model": "no-such"}, "model"),
        ({"engine": "local", "model": "../../etc"}, "model"),
        ({"engine": "local", "model": ""}, "model"),
        ({"engine": "local", "model": "x", "pattern": "(a"}, "pattern"),
    ],
)
def test_bad_settings_are_named(client, scene, body, field):
    answer = send(client, f"{scene[2]}/judges", {"name": "J"} | body)
    assert answer.status_code == 400
    assert field in answer.json()["error"]["detail"]


def test_runs(client, scene):
    _project, version, base = scene
    body = {"judge": str(version.judge.uid), "selection": {"kind": "all", "limit": 1}}
    made = send(client, f"{base}/judge-runs", body)
    assert made.status_code == 202, made.content
    run = JudgeRun.objects.get()
    assert made.json()["job_uid"] == str(run.job_uid)
    assert client.get(f"{base}/judge-runs/{run.uid}").json()["version"] == 1
    assert len(client.get(f"{base}/judge-runs").json()["results"]) == 1
    bad = body | {"selection": {"kind": "split"}}
    assert send(client, f"{base}/judge-runs", bad).status_code == 400


def test_verdicts_and_their_filters(client, scene):
    project, version, base = scene
    pk = project.comparisons.first().pk
    rows = client.get(f"{base}/verdicts", {"comparison": pk}).json()["results"]
    assert {(row["order"], row["outcome"]) for row in rows} == {("ab", "a"), ("ba", "b")}
    assert client.get(f"{base}/verdicts", {"comparison": pk + 10_000}).status_code == 404
    assert len(client.get(f"{base}/verdicts", {"judge": str(version.judge.uid)}).json()["results"]) == 2
    assert client.get(f"{base}/verdicts", {"status": "error"}).json()["results"] == []
    assert client.get(f"{base}/verdicts", {"judge": "x"}).status_code == 400
    # A filter that is not on the list changes nothing.
    trick = {"judge_version__endpoint__api_key_encrypted__startswith": "g"}
    assert len(client.get(f"{base}/verdicts", trick).json()["results"]) == 2
    assert client.get(f"{base}/verdicts/{rows[0]['uid']}").json()["uid"] == rows[0]["uid"]


@pytest.mark.parametrize("role", [Role.LABELER, Role.VIEWER, Role.REVIEWER])
def test_roles(client, scene, role):
    project, version, base = scene
    client.force_login(make_user(project, role))
    may_view = role != Role.LABELER
    for path in ("judges", "judge-runs", "verdicts"):
        assert client.get(f"{base}/{path}").status_code == (200 if may_view else 403)
    assert client.get(f"{base}/judge-endpoints").status_code == 403
    assert client.get(f"{base}/judge-endpoints/{version.endpoint.uid}").status_code == 403
    assert send(client, f"{base}/judges", {"name": "x", "engine": "openai"}).status_code == 403
    body = {"judge": str(version.judge.uid), "selection": {"kind": "all"}}
    assert send(client, f"{base}/judge-runs", body).status_code == 403


def test_another_projects_endpoint_cannot_be_used(client, scene):
    base = scene[2]
    foreign = make_version(make_project(1)).endpoint
    body = {"name": "Thief", "engine": "openai", "endpoint": str(foreign.uid)}
    assert send(client, f"{base}/judges", body).status_code == 404


def test_training_needs_a_snapshot_of_this_project(client, scene):
    assert send(client, f"{scene[2]}/judges/train", {"name": "x", "snapshot": 1}).status_code == 404
