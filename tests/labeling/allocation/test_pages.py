"""The manager's pages and REST: batches, people, gold and qualification; what labelers may not do."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from labeling.models import Batch, Comparison, Labeler
from tests.factories import make_team
from tests.labeling.label.factories import add_pairs

pytestmark = pytest.mark.django_db


@pytest.fixture
def team():
    team = make_team("work", overlap=1)
    add_pairs(team.project, 6)
    return team


@pytest.fixture
def manager(team):
    client = Client()
    client.force_login(team.manager)
    return client


def member_of(team, user) -> str:
    return str(team.project.memberships.get(user=user).pk)


def new_batch(manager, team, **data):
    values = {"name": "Medical", "people": [member_of(team, team.labeler)], "number": 2, **data}
    return manager.post("/projects/work/work/new/", values)


def test_a_batch_is_made_changed_released_and_removed(team, manager):
    assert "No batches yet" in manager.get("/projects/work/work/").content.decode()
    made = new_batch(manager, team, deadline="2099-05-01T12:00")
    batch = Batch.objects.get()
    assert made.headers["Location"] == f"/projects/work/work/{batch.uid}/"
    page = manager.get(made.headers["Location"]).content.decode()
    assert "Medical" in page
    assert "0 of 2" in page
    assert 'value="2099-05-01T12:00"' in page
    change = {"name": "Medicine", "people": [member_of(team, team.reviewer)], "is_paused": "on"}
    manager.post(f"/projects/work/work/{batch.uid}/", change)
    batch.refresh_from_db()
    assert (batch.name, batch.is_paused, batch.deadline) == ("Medicine", True, None)
    assert [place.labeler.user for place in batch.people.all()] == [team.reviewer]
    manager.post(f"/projects/work/work/{batch.uid}/extend", {"number": 1})
    assert Comparison.objects.filter(batch=batch).count() == 3
    manager.post(f"/projects/work/work/{batch.uid}/release")
    assert Comparison.objects.filter(batch=batch).count() == 0
    assert "closed" in manager.get("/projects/work/work/").content.decode()
    manager.post(f"/projects/work/work/{batch.uid}/delete")
    assert not Batch.objects.exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"people": []}, "This field is required"),
        ({"number": 0}, "greater than or equal to 1"),
        ({"topic": "nothing of it"}, "fits this choice"),
        ({"deadline": "2001-01-01T00:00"}, "This time is over"),
    ],
)
def test_what_is_wrong_with_a_batch_is_said_and_what_was_entered_stays(team, manager, data, said):
    page = new_batch(manager, team, **data).content.decode()
    assert said in page
    assert 'value="Medical"' in page
    assert not Batch.objects.exists()


def test_a_name_that_is_taken_is_refused_and_the_page_keeps_its_own(team, manager):
    new_batch(manager, team)
    new_batch(manager, team, name="Other")
    batch = Batch.objects.get(name="Other")
    values = {"name": "Medical", "people": [member_of(team, team.labeler)]}
    page = manager.post(f"/projects/work/work/{batch.uid}/", values).content.decode()
    assert "has this name" in page
    assert '<h1 class="work-name">Other</h1>' in page


def test_fewer_people_than_labels_are_warned_of(team, manager):
    assert "cannot finish a batch" not in manager.get("/projects/work/work/new/").content.decode()
    type(team.project).objects.update(overlap=2)
    assert "A comparison here needs 2 labels" in manager.get("/projects/work/work/new/").content.decode()
    new_batch(manager, team)
    Batch.objects.update(stuck_told_at=timezone.now())
    page = manager.get(f"/projects/work/work/{Batch.objects.get().uid}/").content.decode()
    assert "lacks people" in page
    assert "Name more people, or give the rest to everybody." in page


def test_people_are_paused_before_they_ever_labeled_and_let_through(team, manager):
    url = f"/projects/work/people/{member_of(team, team.labeler)}/work"
    manager.post(url, {"deed": "pause"})
    labeler = Labeler.objects.get(user=team.labeler)
    assert labeler.paused_at is not None
    browser = Client()
    browser.force_login(team.labeler)
    assert "A manager has paused your work" in browser.get("/projects/work/label/").content.decode()
    manager.post(url, {"deed": "resume"})
    assert "A manager has paused" not in browser.get("/projects/work/label/").content.decode()
    page = manager.post(url, {"deed": "sing"}, follow=True).content.decode()
    assert "Choose what is to happen" in page


def test_gold_and_qualification_are_set_on_one_page(team, manager):
    url = "/projects/work/settings/allocation/"
    values = {"gold_share": "0.05", "qualification_size": "2", "qualification_pass": "0.8"}
    page = manager.post(url, values).content.decode()
    assert "There is no gold comparison yet" in page
    assert "There are 0 qualification comparisons" in page
    Comparison.objects.update(gold_outcome="a")
    manager.post("/projects/work/settings/checks", {"use": "gold", "count": 2})
    manager.post("/projects/work/settings/checks", {"use": "qualification", "count": 3})
    uses = Comparison.objects.order_by("use").values_list("use", flat=True)
    assert list(uses) == ["gold"] * 2 + ["qualification"] * 3 + ["work"]
    assert manager.post(url, values).status_code == 302
    team.project.refresh_from_db()
    assert (team.project.gold_share, team.project.qualification_size) == (0.05, 2)
    page = manager.post("/projects/work/settings/checks", {"release": "qualification"}, follow=True)
    assert "to 0 first" in page.content.decode()
    page = manager.get("/projects/work/work/").content.decode()
    assert "qualifying" in page
    assert "0 of 2" in page


def test_rest_of_batches_and_allocation(team, manager):
    base = "/api/v1/projects/work"
    body = {"name": "Medical", "people": [team.labeler.username], "number": 2}
    made = manager.post(f"{base}/batches", body, content_type="application/json")
    assert made.status_code == 201
    row = made.json()
    assert (row["people"], row["total"], row["done"], row["state"]) == ([team.labeler.username], 2, 0, "open")
    url = f"{base}/batches/{row['uid']}"
    assert manager.get(f"{base}/batches").json()["results"] == [row]
    more = manager.post(url, {"number": 1}, content_type="application/json").json()
    assert more == row | {"total": 3}
    none = manager.post(url, {"number": 1, "topic": "unheard of"}, content_type="application/json")
    assert (none.status_code, list(none.json()["error"]["detail"])) == (400, ["number"])
    row = more
    changed = manager.patch(url, {"is_paused": True}, content_type="application/json").json()
    assert changed == row | {"state": "paused"}
    assert manager.patch(url, {"release": True}, content_type="application/json").json()["state"] == "closed"
    assert manager.delete(url).status_code == 204
    unknown = manager.post(
        f"{base}/batches", body | {"people": [team.viewer.username]}, content_type="application/json"
    )
    assert (unknown.status_code, list(unknown.json()["error"]["detail"])) == (400, ["people"])
    people = manager.get(f"{base}/work/people").json()["results"]
    assert {row["person"]: row["state"] for row in people}[team.labeler.username] == "working"
    deed = {"person": team.labeler.username, "deed": "pause"}
    assert manager.post(f"{base}/work/people", deed, content_type="application/json").status_code == 204
    assert Labeler.objects.get(user=team.labeler).paused_at is not None
    Comparison.objects.filter(priority__gt=3).update(gold_outcome="b")
    found = manager.post(f"{base}/allocation", {"use": "gold", "count": 2}, content_type="application/json")
    assert (found.json()["gold"], found.json()["known"]) == (2, 1)
    found = manager.patch(f"{base}/allocation", {"gold_share": 0.1}, content_type="application/json").json()
    assert found["gold_share"] == 0.1
    wrong = manager.patch(f"{base}/allocation", {"qualification_size": 1}, content_type="application/json")
    assert (wrong.status_code, list(wrong.json()["error"]["detail"])) == (400, ["qualification_size"])
    assert manager.get(f"{base}/allocation").json()["qualification_size"] == 0
