"""Invariant 3: before the vote, nothing hidden reaches a labeler in HTML, JSON or headers."""

from __future__ import annotations

import itertools

import pytest
from django.test import Client
from django.utils import timezone
from knox.settings import knox_settings
from rest_framework.test import APIClient

from labeling.models import Comparison, Outcome, Preference, Resolution
from labeling.services.allocation import lease_next
from labeling.services.preferences import preference_submit
from tests.labeling.label.factories import make_labeler, make_project

pytestmark = pytest.mark.django_db
_canaries = itertools.count(1)


def canary() -> str:
    return f"canary{next(_canaries)}zq"


@pytest.fixture
def planted():
    """A project in which every field that a labeler must not see holds a canary."""
    assert knox_settings.AUTH_HEADER_PREFIX == "Bearer"
    project = make_project(3, overlap=3, random_share=0.0)
    words = []

    def plant() -> str:
        words.append(canary())
        return words[-1]

    other, me = make_labeler(project), make_labeler(project)
    for comparison in Comparison.objects.select_related("prompt", "response_a", "response_b"):
        prompt = comparison.prompt
        prompt.external_id, prompt.group, prompt.topic = plant(), plant(), plant()
        prompt.language, prompt.metadata = plant()[:12], {"note": plant(), plant(): 1}
        prompt.messages = [{**message, "model": plant()} for message in prompt.messages]
        prompt.save()
        for response in (comparison.response_a, comparison.response_b):
            response.model_name = plant()
            response.save()
            words.append(response.content_hash)
        comparison.gold_outcome, comparison.priority_reason = Outcome.BOTH_BAD, plant()
        comparison.priority = 0.123456789 + comparison.pk
        words.append(str(comparison.priority))
        comparison.save()
        words.append(prompt.content_hash)
    for lease in lease_next(other, count=3):
        preference_submit(
            assignment=lease,
            data={"choice": "1", "rationale": plant(), "duration_ms": 7654321},
            idempotency_key=plant(),
        )
        words.append(str(lease.uid))
    other.name = plant()
    other.save()
    words += [str(other.uid), other.user.username, "7654321", "7654.3", "gold"]
    assert Resolution.objects.count() == 3
    return me, words


def search(response, words: list[str], where: str) -> None:
    assert response.status_code == 200, (where, response.content[:500])
    text = response.content.decode() + "\n" + "\n".join(f"{k}: {v}" for k, v in response.headers.items())
    assert [word for word in words if word in text] == [], where


def test_canary_label_page_shows_nothing_hidden(planted):
    me, words = planted
    client = Client()
    client.force_login(me.user)
    url = f"/projects/{me.project.slug}/label/"
    page = client.get(url)
    search(page, words, "page")
    assert "First answer" in page.content.decode()
    uids = list(me.assignments.values_list("uid", flat=True))
    assert len(uids) == 2
    post = {"data": {"rationale": "mine"}, "headers": {"Accept": "application/json"}}
    search(client.post(f"{url}{uids[0]}/draft", **post), words, "draft")
    search(client.post(f"{url}heartbeat", {"uid": [str(uid) for uid in uids]}), words, "heartbeat")
    # The answer to a vote brings the next pair, which has not been voted on.
    saved = client.post(
        f"{url}{uids[0]}/submit", {"choice": "2", "duration_ms": 5}, headers={"Accept": "application/json"}
    )
    search(saved, words, "submit")
    assert len(saved.json()["pairs"]) == 2
    search(client.post(f"{url}{uids[0]}/undo", headers={"Accept": "application/json"}), words, "undo")


def test_canary_rest_shows_nothing_hidden(planted):
    me, words = planted
    client = APIClient()
    client.force_authenticate(me.user)
    following = client.post(f"/api/v1/projects/{me.project.slug}/comparisons/next")
    search(following, words, "next")
    first = following.json()["results"][0]
    assert set(first) == {"assignment", "messages", "left", "right", "draft", "lease_expires_at"}
    assert set(first["messages"][0]) == {"role", "content"}
    uid = first["assignment"]
    for action, data in (("draft", {"rationale": "x"}), ("heartbeat", {})):
        search(client.post(f"/api/v1/assignments/{uid}/{action}", data, format="json"), words, action)
    saved = client.post(
        f"/api/v1/assignments/{uid}/submit",
        {"choice": "tie"},
        format="json",
        headers={"Idempotency-Key": "k1"},
    )
    search(saved, words, "submit")
    undone = client.post(f"/api/v1/assignments/{uid}/undo", headers={"Idempotency-Key": "k2"})
    search(undone, words, "undo")


@pytest.mark.parametrize("panel", ["judging:comparison-panel", "workers:comparison-panel"])
def test_canary_the_other_voices_are_closed_before_the_vote_and_open_after(planted, panel):
    from django.urls import reverse

    me, _words = planted
    client = Client()
    client.force_login(me.user)
    lease = lease_next(me)[0]
    url = reverse(panel, args=[me.project.slug, lease.comparison_id]) + "?left=a"
    assert client.get(url).status_code == 404
    preference_submit(assignment=lease, data={"choice": "1"}, idempotency_key="k")
    assert client.get(url).status_code == 200
    me.project.reveal_after_vote = False
    me.project.save()
    assert client.get(url).status_code == 404


def test_canary_another_persons_assignment_does_not_exist(planted):
    me, _words = planted
    stranger = make_labeler(me.project)
    theirs = lease_next(stranger)[0]
    client = Client()
    client.force_login(me.user)
    for action in ("submit", "change", "undo", "draft"):
        url = f"/projects/{me.project.slug}/label/{theirs.uid}/{action}"
        assert client.post(url, {"choice": "1"}).status_code == 404
    rest = APIClient()
    rest.force_authenticate(me.user)
    for action in ("submit", "undo", "draft", "heartbeat"):
        url = f"/api/v1/assignments/{theirs.uid}/{action}"
        answer = rest.post(url, {"choice": "1"}, format="json", headers={"Idempotency-Key": "k"})
        assert answer.status_code == 404
    assert not Preference.objects.filter(labeler=stranger, created_at__lte=timezone.now()).exists()
