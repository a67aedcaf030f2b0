"""Review over REST."""

from __future__ import annotations

import pytest
from django.test import Client

from labeling.models import Adjudication, Comparison, Resolution, Role
from tests.factories import make_member
from tests.labeling.label.factories import make_labeler, make_project
from tests.labeling.review.factories import answers, kinds, voice

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    project = make_project(1, overlap=2)
    answers(project, "2", "7")
    voice(Comparison.objects.get(project=project), "b", 0.125)
    return project


@pytest.fixture
def client(project):
    client = Client()
    client.force_login(make_member(project, Role.REVIEWER))
    return client


def url(project, path: str) -> str:
    return f"/api/v1/projects/{project.slug}/{path}"


def one(project, path: str) -> str:
    return url(project, f"comparisons/{Comparison.objects.get(project=project).pk}/{path}")


def send(client, method, address, body, key="k1"):
    call = getattr(client, method)
    return call(address, body, content_type="application/json", headers={"Idempotency-Key": key})


def test_the_queue(client, project):
    body = client.get(url(project, "review")).json()
    assert body["counts"] == {"people": 1}
    assert body["next"] is None
    [row] = body["results"]
    assert (row["kind"], row["size"], row["open"]) == ("people", 1.0, True)
    assert row["votes"] == {"a": 1, "b": 1, "tie": 0, "both_bad": 0}
    assert row["voices"] == [{"kind": "judge", "name": "j1 v1", "outcome": "b", "p_a": 0.125}]
    assert client.get(url(project, "review"), {"kind": "x"}).status_code == 400
    assert client.get(url(project, "review"), {"after": "x"}).status_code == 400


def test_settle_and_take_back(client, project):
    body = {"outcome": "b", "strength": 3, "reason": "B."}
    first = send(client, "post", one(project, "adjudication"), body)
    again = send(client, "post", one(project, "adjudication"), body)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["uid"] == again.json()["uid"]
    assert Resolution.objects.get().method == "adjudicated"
    other = send(client, "post", one(project, "adjudication"), {**body, "outcome": "a"})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    back = send(client, "delete", one(project, "adjudication"), {"reason": "No."}, "k2")
    assert (back.status_code, back.json()["outcome"]) == (200, "withdrawn")
    twice = send(client, "delete", one(project, "adjudication"), {"reason": "No."}, "k3")
    assert (twice.status_code, twice.json()["error"]["code"]) == (409, "not_adjudicated")
    assert Adjudication.objects.count() == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"outcome": "b"},
        {"outcome": "skip", "reason": "x"},
        {"outcome": "tie", "strength": 2, "reason": "x"},
    ],
)
def test_what_is_wrong_is_said_by_field(client, project, body):
    response = send(client, "post", one(project, "adjudication"), body)
    assert response.status_code == 400
    assert response.json()["error"]["detail"]
    assert Adjudication.objects.count() == 0


def test_without_a_key_nothing_is_settled(client, project):
    body = {"outcome": "b", "reason": "B."}
    response = client.post(one(project, "adjudication"), body, content_type="application/json")
    assert response.status_code == 400


def test_send_back(client, project):
    response = send(client, "post", one(project, "send-back"), {"to": "others", "more": 3})
    assert (response.status_code, response.json()["more"]) == (201, 3)
    assert kinds(Comparison.objects.get()) == {"sent_back": 1.0}
    assert Comparison.objects.get().open_slots == 3


def test_send_back_to_people_by_name(client, project):
    person = make_labeler(project)
    body = {"to": "named", "people": [person.user.username]}
    response = send(client, "post", one(project, "send-back"), body)
    assert (response.status_code, response.json()["more"], response.json()["people"]) == (
        201,
        1,
        [person.name],
    )
    assert Comparison.objects.get().batch.people.get().labeler == person
    history = client.get(one(project, "history")).json()["results"]
    assert [event["people"] for event in history if event["kind"] == "sent_back"] == [[person.name]]
    for people in ([], ["nobody"]):
        refused = send(client, "post", one(project, "send-back"), body | {"people": people})
        assert (refused.status_code, list(refused.json()["error"]["detail"])) == (400, ["people"])


def test_comments(client, project):
    made = send(client, "post", one(project, "comments"), {"text": "Right?"})
    assert made.status_code == 201
    [row] = client.get(one(project, "comments")).json()["results"]
    assert row == made.json()
    assert client.delete(url(project, f"comments/{row['uid']}")).status_code == 204
    assert client.get(one(project, "comments")).json()["results"][0]["text"] == ""
