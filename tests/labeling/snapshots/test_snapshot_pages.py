"""Snapshot and export pages."""

from __future__ import annotations

import hashlib
import json

import pytest
from django.urls import reverse

from labeling.models import Role, Snapshot
from labeling.services.snapshots import snapshot_build, snapshot_create, snapshot_fail
from tests.factories import make_comparison
from tests.labeling.resolution.builders import labeled_project, make_project, make_user, vote
from webapp.caches import page_cache
from webapp.jobs.models import Job

pytestmark = pytest.mark.django_db


def url(name, project, *args):
    return reverse(f"labeling:{name}", args=[project.slug, *args])


@pytest.fixture
def project(client):
    project = labeled_project(9, outcomes="aabbt")
    client.force_login(make_user(project, Role.MANAGER))
    return project


def ready(project):
    return snapshot_build(snapshot_create(project=project, enqueue=False))


def body(response) -> bytes:
    return b"".join(response.streaming_content)


def test_a_manager_makes_one_from_the_page(client, project):
    assert "Make the first snapshot" in client.get(url("snapshot-list", project)).content.decode()
    form = {
        "min_labels": 2, "group_key": "prompt", "train": 0.5, "validation": 0.25, "test": 0.25, "seed": 3,
        "labeler_kinds": ["member", "imported"], "include_ties": "on", "weights": "reliability",
        "include_judge_rows": "on",
    }  # fmt: skip
    response = client.post(url("snapshot-new", project), form)
    snapshot = Snapshot.objects.get(project=project)
    assert response.url == url("snapshot-detail", project, snapshot.number)
    assert snapshot.config["fractions"] == {"train": 0.5, "validation": 0.25, "test": 0.25}
    assert snapshot.config["include_both_bad"] is False
    assert snapshot.config["include_judge_rows"] is True
    assert (snapshot.config["include_rewrites"], snapshot.config["weights"]) == (False, "reliability")
    assert Job.objects.get(uid=snapshot.job_uid).kind == "snapshot.make"
    page = client.get(url("snapshot-detail", project, snapshot.number)).content.decode()
    assert "every 2s" in page


def test_shares_that_do_not_sum_to_one_are_refused(client, project):
    form = {"min_labels": 1, "group_key": "group", "train": 0.9, "validation": 0.9, "test": 0, "seed": 0}
    response = client.post(
        url("snapshot-new", project), {**form, "labeler_kinds": ["member"], "weights": "equal"}
    )
    assert response.status_code == 200
    assert "sum to 1" in response.content.decode()
    assert not Snapshot.objects.exists()


def test_the_page_follows_making_ready_stale_and_failed(client, project):
    snapshot = snapshot_create(project=project, enqueue=False)
    address = url("snapshot-detail", project, snapshot.number)
    making = client.get(address, headers={"HX-Request": "true"})
    assert "HX-Refresh" not in making.headers
    snapshot = snapshot_build(snapshot)
    assert client.get(address, headers={"HX-Request": "true"}).headers["HX-Refresh"] == "true"
    page = client.get(address).content.decode()
    assert snapshot.content_hash in page
    assert "newer labels" not in page
    preference = project.preferences.first()
    vote(preference.comparison, preference.labeler, "tie")
    assert "newer labels" in client.get(address).content.decode()
    broken = snapshot_create(project=project, enqueue=False)
    snapshot_fail(broken.pk)
    assert "failed" in client.get(url("snapshot-detail", project, broken.number)).content.decode()


@pytest.mark.parametrize("count", [1, 6])
def test_the_list_costs_the_same_however_long(client, project, django_assert_num_queries, count):
    for _ in range(count):
        ready(project)
    client.get(url("snapshot-list", project))
    with django_assert_num_queries(12):  # session, user, project, role x2, count, rows, five of progress
        html = client.get(url("snapshot-list", project)).content.decode()
    numbers = project.snapshots.values_list("number", flat=True)
    assert all(url("snapshot-detail", project, number) in html for number in numbers)


def test_export_shows_first_rows_then_streams_them_with_their_hash(client, project):
    snapshot = ready(project)
    assert client.get(url("export", project)).url == url("snapshot-export", project, snapshot.number)
    page = client.get(
        url("snapshot-export", project, snapshot.number), {"layout": "ms-swift"}
    ).content.decode()
    assert "rejected_response" in page
    assert "layout=ms-swift" in page
    data = client.get(url("export-download", project, snapshot.number), {"layout": "ms-swift"})
    content = body(data)
    assert "rejected_response" in json.loads(content.splitlines()[0])
    assert data.headers["X-Chosen-SHA256"] == hashlib.sha256(content).hexdigest()
    assert data.headers["X-Chosen-Snapshot"] == snapshot.content_hash
    assert data.headers["Content-Disposition"].endswith('-ms-swift.jsonl"')
    manifest = client.get(url("export-manifest", project, snapshot.number), {"layout": "ms-swift"}).json()
    assert manifest["sha256"] == data.headers["X-Chosen-SHA256"]


def test_who_has_the_bytes_gets_304(client, project):
    snapshot = ready(project)
    address = url("export-download", project, snapshot.number)
    etag = client.get(address).headers["ETag"]
    assert client.get(address, headers={"If-None-Match": etag}).status_code == 304
    assert client.get(address, {"format": "csv"}, headers={"If-None-Match": etag}).status_code == 200


def test_options_that_make_no_sense_are_explained(client, project):
    snapshot = ready(project)
    refused = client.get(url("export-download", project, snapshot.number), {"ties": "keep"})
    assert refused.status_code == 400
    assert "can keep ties" in refused.content.decode()


def test_an_unfinished_snapshot_cannot_be_exported(client, project):
    snapshot = snapshot_create(project=project, enqueue=False)
    answer = client.get(url("export-download", project, snapshot.number))
    assert answer.status_code == 409
    assert "not ready" in answer.content.decode()
    assert client.get(url("export", project)).url == url("snapshot-list", project)


def test_empty_projects_are_told_what_to_do(client):
    project = make_project()
    client.force_login(make_user(project, Role.MANAGER))
    assert "Import a file" in client.get(url("snapshot-list", project)).content.decode()
    make_comparison(project)
    page_cache.clear()
    assert "Label the first pair" in client.get(url("snapshot-list", project)).content.decode()


def test_viewers_read_but_do_not_make(client, project):
    snapshot = ready(project)
    client.force_login(make_user(project, Role.VIEWER))
    assert client.get(url("export-download", project, snapshot.number)).status_code == 200
    assert client.get(url("snapshot-new", project)).status_code == 403
    other = labeled_project(1)
    assert client.get(url("snapshot-detail", other, 1)).status_code == 404
