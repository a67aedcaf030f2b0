"""What one vote costs in statements: most of its time."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from labeling.models import Preference
from labeling.services import bookmark
from labeling.services.allocation import lease_next
from tests.labeling.label.factories import make_labeler, make_project
from tests.labeling.review.factories import answers
from webapp.users.models import ApiToken

pytestmark = pytest.mark.django_db


@pytest.fixture
def labeler(monkeypatch):
    """With a bookmark, as everybody has who has labeled a while, that does not move now, and no random draw."""
    monkeypatch.setattr(bookmark, "MOVE_SHARE", 0.0)
    labeler = make_labeler(make_project(30, overlap=2))
    lease_next(labeler)
    return labeler


@pytest.fixture
def client(labeler):
    _row, token = ApiToken.objects.create(user=labeler.user, name="test", scopes=["label"])
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def statements(captured: CaptureQueriesContext) -> list[str]:
    own = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")
    return [query["sql"] for query in captured if not query["sql"].startswith(own)]


def submit(client, uid, key, **data):
    url = f"/api/v1/assignments/{uid}/submit"
    return client.post(url, {"choice": "2", **data}, format="json", headers={"Idempotency-Key": key})


def next_(client, labeler, count=2):
    url = f"/api/v1/projects/{labeler.project.slug}/comparisons/next"
    return client.post(url, {"count": count}, format="json")


def test_rest_next_with_two_held(client, labeler):
    next_(client, labeler)
    with CaptureQueriesContext(connection) as captured:
        assert len(next_(client, labeler).json()["results"]) == 2
    assert len(statements(captured)) <= 5, statements(captured)


def test_rest_submit(client, labeler):
    first, second = next_(client, labeler).json()["results"]
    submit(client, first["assignment"], "k1")
    with CaptureQueriesContext(connection) as captured:
        assert submit(client, second["assignment"], "k2").status_code == 200
    # Who asks, and for which assignment; then the six of a first vote.
    assert len(statements(captured)) == 2 + 6, statements(captured)


def test_rest_submit_where_somebody_has_voted(client, labeler):
    (first,) = next_(client, labeler, count=1).json()["results"]
    answers(labeler.project, "1")
    agreed = "7" if labeler.assignments.get(uid=first["assignment"]).swapped else "2"
    with CaptureQueriesContext(connection) as captured:
        assert submit(client, first["assignment"], "k1", choice=agreed).status_code == 200
    # The votes and the queue of disagreements besides.
    assert len(statements(captured)) == 2 + 8, statements(captured)


def test_rest_submit_with_the_next(client, labeler):
    first, second = next_(client, labeler).json()["results"]
    assert submit(client, first["assignment"], "k1", next=2).json()["revision"] == 1
    with CaptureQueriesContext(connection) as captured:
        answer = submit(client, second["assignment"], "k2", next=2).json()
    assert answer["revision"] == 1
    assert len(answer["results"]) == 2
    assert len(statements(captured)) <= 13, statements(captured)


def test_submit_of_the_page_with_the_next_pair(labeler):
    browser = Client()
    browser.force_login(labeler.user)
    slug = labeler.project.slug
    browser.get(reverse("labeling:label", args=[slug]))

    def vote(lease):
        url = reverse("labeling:label-submit", args=[slug, lease.uid])
        return browser.post(url, {"choice": "2"}, headers={"Accept": "application/json"})

    first, second = lease_next(labeler)
    vote(first)
    with CaptureQueriesContext(connection) as captured:
        answer = vote(second).json()
    assert len(answer["pairs"]) == 2
    assert Preference.objects.count() == 2
    assert len(statements(captured)) <= 19, statements(captured)


def test_a_paused_project_saves_the_answer_and_gives_nothing_more(client, labeler):
    first = next_(client, labeler).json()["results"][0]
    labeler.project.__class__.objects.update(is_paused=True)
    answer = submit(client, first["assignment"], "k1", next=1)
    assert (answer.status_code, answer.json()["results"]) == (200, [])
    assert next_(client, labeler).json()["error"]["code"] == "paused"


def test_a_paused_person_is_told_so(client, labeler):
    labeler.__class__.objects.update(paused_at=labeler.created_at)
    answer = next_(client, labeler)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "person_paused")
