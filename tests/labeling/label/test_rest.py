"""Labeling over REST: lease, draft, submit once, change, undo, heartbeat; scopes and errors."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from labeling.api.label_serializers import SavedSerializer, saved
from labeling.models import LABEL_OUTCOMES, Assignment, Comparison, Outcome, Preference
from labeling.selectors.label import labels_today
from labeling.services.allocation import lease_next, release_expired
from tests.labeling.label.factories import make_labeler, make_project
from webapp.users.models import ApiToken

pytestmark = pytest.mark.django_db


def client_of(labeler, *scopes: str) -> APIClient:
    _row, token = ApiToken.objects.create(user=labeler.user, name="test", scopes=list(scopes or ("label",)))
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


@pytest.fixture
def labeler():
    return make_labeler(make_project(3))


def lease(client, labeler, **data):
    return client.post(f"/api/v1/projects/{labeler.project.slug}/comparisons/next", data, format="json")


def submit(client, uid: str, key: str = "k1", **data):
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(f"/api/v1/assignments/{uid}/submit", data, format="json", headers=headers)


def test_a_round_of_labeling(labeler):
    client = client_of(labeler)
    found = lease(client, labeler).json()
    assert found["today"] == 0
    uid = found["results"][0]["assignment"]
    assert len(found["results"]) == 2
    base = f"/api/v1/assignments/{uid}"
    assert client.post(f"{base}/draft", {"rationale": "hm"}, format="json").json() == {"kept": True}
    assert lease(client, labeler, count=1).json()["results"][0]["draft"]["rationale"] == "hm"
    assert client.post(f"{base}/heartbeat").json()["held"] is True
    saved = submit(client, uid, choice="1", duration_ms=1200)
    assert saved.status_code == 200
    swapped = Assignment.objects.get(uid=uid).swapped
    assert (saved.json()["outcome"], saved.json()["strength"]) == ("b" if swapped else "a", 4)
    assert Preference.objects.get().source == "api"
    changed = submit(client, uid, "k2", choice="tie", change=True)
    assert (changed.json()["revision"], changed.json()["outcome"]) == (2, "tie")
    assert client.post(f"{base}/heartbeat").json()["held"] is False
    assert lease(client, labeler).json()["today"] == 1


def test_a_bar_of_an_aspect_and_a_why_are_those_of_the_project():
    scheme = {
        "steps": 4,
        "aspects": [{"key": "safe", "name": "Safe", "steps": 6}],
        "rationale": "when",
        "ask_when": ["strong"],
    }
    labeler = make_labeler(make_project(1, scheme=scheme))
    client = client_of(labeler)
    uid = lease(client, labeler).json()["results"][0]["assignment"]
    assert "1 to 6" in str(submit(client, uid, choice="2", aspects={"safe": "7"}).json())
    refused = submit(client, uid, choice="4", aspects={"safe": "6"})
    assert refused.status_code == 400
    assert "asks for a rationale" in str(refused.json())
    nothing = client.post(f"/api/v1/assignments/{uid}/submit", "null", content_type="application/json")
    assert (nothing.status_code, list(nothing.json()["error"]["detail"])) == (400, ["choice"])
    saved = submit(client, uid, choice="4", aspects={"safe": "6"}, rationale="because").json()
    assert saved["strength"] == 4
    assert saved["aspects"] == {"safe": saved["outcome"]}
    assert saved["aspect_strengths"] == {"safe": 4}


def test_undo_leases_it_again(labeler):
    client = client_of(labeler)
    uid = lease(client, labeler).json()["results"][0]["assignment"]
    submit(client, uid, choice="5")
    undone = client.post(f"/api/v1/assignments/{uid}/undo", headers={"Idempotency-Key": "u"})
    assert undone.json()["assignment"] == uid
    assert lease(client, labeler).json()["results"][0]["assignment"] == uid


def test_the_same_key_answers_the_same_and_another_body_is_a_conflict(labeler):
    client = client_of(labeler)
    uid = lease(client, labeler).json()["results"][0]["assignment"]
    first = submit(client, uid, choice="1")
    assert submit(client, uid, choice="1").json() == first.json()
    refused = submit(client, uid, choice="8")
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "idempotency_conflict"
    again = submit(client, uid, "k2", choice="1")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_submitted")
    assert Preference.objects.count() == 1


def test_a_lost_lease_is_a_conflict_with_its_own_code(labeler):
    client = client_of(labeler)
    uid = lease(client, labeler).json()["results"][0]["assignment"]
    release_expired(timezone.now() + timedelta(days=1))
    lease_next(make_labeler(labeler.project), count=3)
    refused = submit(client, uid, choice="1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "lease_lost")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"choice": "9"}, "choice"),
        ({"choice": "skip"}, "skip_reason"),
        ({"choice": "1", "reasons": ["x"]}, "reasons"),
    ],
)
def test_a_bad_answer_names_the_field(labeler, data, field):
    client = client_of(labeler)
    uid = lease(client, labeler).json()["results"][0]["assignment"]
    refused = submit(client, uid, **data)
    assert refused.status_code == 400
    assert field in refused.json()["error"]["detail"]


def test_what_is_wrong_is_said_in_each_readers_language(labeler):
    client = client_of(labeler)
    uid = lease(client, labeler).json()["results"][0]["assignment"]
    said = []
    for language in ("en", "zh-hans", "en"):
        client.credentials(**client._credentials | {"HTTP_ACCEPT_LANGUAGE": language})
        refused = submit(client, uid, choice="1", rationale="x" * 5001, next=3)
        detail = refused.json()["error"]["detail"]
        said.append((detail["rationale"], detail["next"]))
    assert (
        said[0]
        == said[2]
        == (
            ["Ensure this field has no more than 5000 characters."],
            ["Ensure this value is less than or equal to 2."],
        )
    )
    assert not {*said[0][0], *said[0][1]} & {*said[1][0], *said[1][1]}


def test_a_submit_without_a_key_is_refused(labeler):
    client = client_of(labeler)
    uid = lease(client, labeler).json()["results"][0]["assignment"]
    refused = submit(client, uid, "", choice="1")
    assert refused.status_code == 400
    assert "Idempotency-Key" in refused.json()["error"]["detail"]
    assert not Preference.objects.exists()


def test_a_paused_project_is_a_conflict(labeler):
    labeler.project.is_paused = True
    labeler.project.save()
    refused = lease(client_of(labeler), labeler)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "paused")


@pytest.mark.parametrize("scope", ["read", "write", "score"])
def test_a_token_without_the_scope_label_is_refused(labeler, scope):
    assert lease(client_of(labeler, scope), labeler).status_code == 403
    uid = lease_next(labeler)[0].uid
    assert submit(client_of(labeler, scope), str(uid), choice="1").status_code == 403


def test_strangers_get_not_found_and_nobody_gets_in_without_a_token(labeler):
    stranger = make_labeler(make_project(1))
    assert lease(client_of(stranger), labeler).status_code == 404
    assert lease(APIClient(), labeler).status_code == 401


def test_what_was_saved_is_said_as_the_serializer_says_it(labeler):
    client = client_of(labeler)
    first, second = lease(client, labeler).json()["results"]
    submit(client, first["assignment"], "k1", choice="3", rationale="50 %", duration_ms=7)
    submit(client, second["assignment"], "k2", choice="skip", skip_reason="unclear")
    rows = list(Preference.objects.order_by("pk"))
    assert [row.outcome for row in rows][1:] == ["skip"]
    assert [saved(row) for row in rows] == [dict(SavedSerializer(row).data) for row in rows]


@pytest.mark.parametrize("seed", range(5))
def test_todays_labels_are_those_whose_last_word_was_said_today(labeler, seed):
    """Whatever was changed, undone, said again or brought along since yesterday."""
    chance = random.Random(seed)
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    count = 0
    for comparison in Comparison.objects.all():
        said = sorted(chance.sample(range(-90, 91), chance.randint(0, 5)))
        for revision, minutes in enumerate(said, 1):
            last, is_asked = chance.choice(list(Outcome)), chance.random() < 0.8
            Preference.objects.create(
                project=labeler.project,
                comparison=comparison,
                labeler=labeler,
                revision=revision,
                outcome=last,
                shown_left_id=comparison.response_a_id if is_asked else None,
                source="web",
                idempotency_key=f"{comparison.pk}:{revision}",
                request_hash="x",
                created_at=midnight + timedelta(minutes=minutes),
            )
        count += bool(said) and said[-1] >= 0 and is_asked and last in LABEL_OUTCOMES
    assert labels_today(labeler) == count
