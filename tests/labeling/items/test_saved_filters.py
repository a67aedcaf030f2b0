"""Filters that are kept: who sees them, who changes them, and that they find what they found."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from labeling.models import SavedFilter
from tests.factories import make_comparison, make_member, make_team

pytestmark = pytest.mark.django_db


@pytest.fixture
def team():
    return make_team()


def as_user(client, user):
    client.force_login(user)
    return client


def keep(client, team, name, query, **fields):
    url = reverse("labeling:saved-filter-new", args=[team.project.slug])
    return client.post(url, {"name": name, "filter": json.dumps(query), **fields}, follow=True)


def test_a_kept_filter_is_a_link_that_filters(client, team):
    make_comparison(team.project, state="done")
    as_user(client, team.reviewer)
    page = keep(client, team, " hard chemistry ", {"state": "open", "agreement_max": 0.6}).content.decode()
    saved = SavedFilter.objects.get()
    assert (saved.owner, saved.name, saved.is_shared) == (team.reviewer, "hard chemistry", False)
    assert saved.query == {"state": "open", "agreement_max": 0.6}
    assert "?state=open&amp;agreement_max=0.6" in page
    assert "Nothing matches these filters" in page  # one sees at once what it finds


def test_others_see_it_once_it_is_shared_and_only_managers_change_it(client, team):
    as_user(client, team.reviewer)
    keep(client, team, "mine", {"state": "open"})
    saved = SavedFilter.objects.get()
    url = reverse("labeling:saved-filter", args=[team.project.slug, saved.pk])
    rest = f"/api/v1/projects/{team.project.slug}/saved-filters"
    other = make_member(team.project, "reviewer")
    for user, status in ((team.manager, 404), (team.viewer, 404), (other, 404)):
        as_user(client, user)
        assert client.get(rest).json()["results"] == []
        assert client.post(url, {"name": "theirs"}).status_code == status
    as_user(client, team.reviewer)
    assert client.post(url, {"name": "ours", "is_shared": "on"}).status_code == 302
    saved.refresh_from_db()
    assert (saved.name, saved.is_shared) == ("ours", True)
    for user, status in ((team.viewer, 403), (other, 403), (team.manager, 302), (team.labeler, 403)):
        as_user(client, user)
        assert client.post(url, {"name": "ours", "is_shared": "on"}).status_code == status
    for user in (team.viewer, other, team.manager):
        assert [row["name"] for row in as_user(client, user).get(rest).json()["results"]] == ["ours"]
    assert as_user(client, team.labeler).get(rest).status_code == 403
    assert as_user(client, team.manager).post(url, {"delete": "1"}).status_code == 302
    assert not SavedFilter.objects.exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "x", "filter": "{}"}, "choose a filter first"),
        ({"name": "", "filter": '{"state": "open"}'}, "Give the filter a name"),
        ({"name": "x" * 81, "filter": '{"state": "open"}'}, "Give the filter a name"),
        ({"name": "taken", "filter": '{"state": "open"}'}, "of this name already"),
        ({"name": "x", "filter": "[]"}, "cannot be read"),
        ({"name": "x", "filter": '{"secret": 1}'}, "no such filter"),
    ],
)
def test_what_cannot_be_kept_says_why(client, team, fields, said):
    as_user(client, team.manager)
    keep(client, team, "taken", {"state": "done"})
    url = reverse("labeling:saved-filter-new", args=[team.project.slug])
    assert said in client.post(url, fields, follow=True).content.decode()
    assert SavedFilter.objects.count() == 1


def test_rest_keeps_changes_and_deletes(client, team):
    as_user(client, team.viewer)
    rest = f"/api/v1/projects/{team.project.slug}/saved-filters"
    made = client.post(
        rest, {"name": "low", "filter": {"agreement_max": 0.5}}, content_type="application/json"
    )
    assert made.status_code == 201
    assert made.json()["filter"] == {"agreement_max": 0.5}
    one = f"{rest}/{made.json()['id']}"
    changed = client.patch(one, {"is_shared": True}, content_type="application/json")
    assert (changed.json()["name"], changed.json()["is_shared"]) == ("low", True)
    bad = client.post(rest, {"name": "b", "filter": {"state": "x"}}, content_type="application/json")
    assert (bad.status_code, list(bad.json()["error"]["detail"])) == (400, ["state"])
    again = client.post(rest, {"name": "low", "filter": {"state": "open"}}, content_type="application/json")
    assert again.json()["error"]["detail"] == {"name": ["You have a filter of this name already."]}
    assert as_user(client, team.reviewer).delete(one).status_code == 403
    assert as_user(client, team.viewer).delete(one).status_code == 204
