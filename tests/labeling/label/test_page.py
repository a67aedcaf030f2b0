"""The label page as plain HTML forms and as its script uses it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from labeling.models import Assignment, Comparison, Labeler, Membership, Preference, Role
from labeling.services.allocation import lease_next, release_expired
from tests.labeling.label.factories import add_pairs, make_labeler, make_project

pytestmark = pytest.mark.django_db
JSON = {"Accept": "application/json"}


@pytest.fixture
def desk():
    """A logged-in labeler of a project of four pairs: (client, labeler, address of the page)."""
    project = make_project(
        4,
        guidelines="Look for **facts**.",
        scheme={
            "aspects": [{"key": "safe", "name": "Safe"}],
            "reasons": ["clearer"],
            "rationale": "optional",
        },
    )
    labeler = make_labeler(project)
    client = Client()
    client.force_login(labeler.user)
    return client, labeler, f"/projects/{project.slug}/label/"


def uids(page) -> list[str]:
    return re.findall(r'data-uid="([0-9a-f-]{36})"', page.content.decode())


def test_page_holds_this_pair_and_the_next(desk):
    client, labeler, url = desk
    page = client.get(url)
    assert page.status_code == 200
    assert uids(page) == [str(lease.uid) for lease in lease_next(labeler)]
    assert "<strong>facts</strong>" in page.content.decode()
    assert uids(client.get(url)) == uids(page)
    opened = Assignment.objects.order_by("pk").values_list("opened_at", flat=True)
    assert [moment is not None for moment in opened] == [True, False]


def test_page_has_no_inline_script_or_style(desk):
    client, _labeler, url = desk
    text = client.get(url).content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"\son[a-z]+=|\sstyle=|<style", text)


def test_plain_form_posts_label_a_pair_without_a_script(desk):
    client, _labeler, url = desk
    page = client.get(url)
    form_key = re.search(r'name="idempotency_key" value="([0-9a-f-]{36})"', page.content.decode())[1]
    uid = uids(page)[0]
    data = {
        "choice": "2",
        "idempotency_key": form_key,
        "reasons": ["clearer"],
        "aspect-safe": "same",
        "rationale": "why",
    }
    back = client.post(f"{url}{uid}/submit", data, follow=True)
    assert back.redirect_chain == [(url, 302)]
    row = Preference.objects.get()
    assert (row.strength, row.reasons, row.aspects, row.rationale) == (3, ["clearer"], {"safe": "tie"}, "why")
    assert row.duration_ms is not None
    assert uid not in uids(back)
    assert 'data-last="' in back.content.decode()
    # A double click posts the same form again: still one row.
    client.post(f"{url}{uid}/submit", data)
    assert Preference.objects.count() == 1


def test_skip_undo_and_change_work_without_a_script(desk):
    client, _labeler, url = desk
    uid = uids(client.get(url))[0]
    client.post(f"{url}{uid}/submit", {"skip_reason": "unclear"})
    assert Preference.objects.get().skip_reason == "unclear"
    page = client.post(f"{url}{uid}/undo", follow=True)
    assert uids(page)[0] == uid
    client.post(f"{url}{uid}/submit", {"choice": "1"})
    client.post(f"{url}{uid}/change", {"choice": "8"})
    assert list(Preference.objects.values_list("revision", flat=True)) == [1, 2, 3, 4]
    assert Comparison.objects.get(pk=Preference.objects.first().comparison_id).label_count == 1


def test_a_refused_answer_says_why_and_keeps_what_was_written(desk):
    client, _labeler, url = desk
    uid = uids(client.get(url))[0]
    page = client.post(f"{url}{uid}/submit", {"rationale": "half a thought"}, follow=True)
    text = page.content.decode()
    assert "Choose a step from 1 to 8" in text
    assert "half a thought" in text
    assert uids(page)[0] == uid


def test_the_script_gets_the_pairs_that_it_does_not_hold(desk):
    client, _labeler, url = desk
    first, second = uids(client.get(url))
    data = client.post(f"{url}{first}/submit", {"choice": "1", "have": [second]}, headers=JSON).json()
    assert [pair["uid"] for pair in data["pairs"]] == [str(Assignment.objects.latest("pk").uid)]
    assert data["today"] == 1
    assert "A better" in data["last"]


def test_a_lost_lease_is_a_clear_conflict(desk):
    client, labeler, url = desk
    uid = uids(client.get(url))[0]
    release_expired(timezone.now() + timedelta(days=1))
    lease_next(make_labeler(labeler.project), count=4)
    answer = client.post(f"{url}{uid}/submit", {"choice": "1", "rationale": "kept"}, headers=JSON)
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "lease_lost"
    assert Assignment.objects.get(uid=uid).draft["rationale"] == "kept"


def test_draft_comes_back_with_the_page(desk):
    client, _labeler, url = desk
    uid = uids(client.get(url))[0]
    sent = {"rationale": "so far", "reasons": ["clearer", "invented"], "aspect-safe": "right", "choice": "3"}
    assert client.post(f"{url}{uid}/draft", sent).json() == {"kept": True}
    assert Assignment.objects.get(uid=uid).draft == {
        "choice": "3",
        "rationale": "so far",
        "reasons": ["clearer"],
        "aspects": {"safe": "right"},
    }
    assert "so far</textarea>" in client.get(url).content.decode()


def test_heartbeat_renews_and_names_what_was_lost(desk):
    client, _labeler, url = desk
    held, gone = uids(client.get(url))
    Assignment.objects.update(lease_expires_at=timezone.now() + timedelta(seconds=5))
    Assignment.objects.filter(uid=gone).update(state="expired")
    answer = client.post(f"{url}heartbeat", {"uid": [held, gone, "nonsense"], "shown": held})
    assert answer.json() == {"lost": [gone]}
    assert Assignment.objects.get(uid=held).lease_expires_at > timezone.now() + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("prepare", "kind"),
    [
        (lambda p: Comparison.objects.filter(project=p).delete(), "no_items"),
        (lambda p: Comparison.objects.filter(project=p).update(state="done"), "all_done"),
        (lambda p: lease_next(make_labeler(p), count=9), "elsewhere"),
        (lambda p: Comparison.objects.filter(project=p).update(open_slots=0), "yours_done"),
    ],
)
def test_nothing_left_says_why(desk, prepare, kind):
    client, labeler, url = desk
    prepare(labeler.project)
    assert f'data-nothing="{kind}"' in client.get(url).content.decode()


def test_paused_says_so_and_keeps_the_lease(desk):
    client, labeler, url = desk
    uid = uids(client.get(url))[0]
    labeler.project.is_paused = True
    labeler.project.save()
    html = client.get(url).content.decode()
    assert "Labeling in this project is paused" in html
    assert "A manager can resume it in the project" in html
    labeler.project.is_paused = False
    labeler.project.save()
    Labeler.objects.filter(pk=labeler.pk).update(paused_at=labeler.created_at)
    html = client.get(url).content.decode()
    assert "A manager has paused your work" in html
    assert "on the page “Work”" in html
    assert client.post(f"{url}{uid}/submit", {"choice": "1"}, headers=JSON).status_code == 200


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("labeler", 200), ("manager", 200)])
def test_who_may_label(desk, role, status):
    client, labeler, url = desk
    Membership.objects.filter(user=labeler.user).update(role=Role(role))
    assert client.get(url).status_code == status


def test_the_assignment_of_another_project_is_not_found_under_this_one(desk):
    client, labeler, url = desk
    other = make_project(1)
    Membership.objects.create(project=other, user=labeler.user, role=Role.LABELER)
    uid = uids(client.get(f"/projects/{other.slug}/label/"))[0]
    assert client.post(f"{url}{uid}/submit", {"choice": "1"}).status_code == 404


def test_page_costs_the_same_with_many_pairs(desk, django_assert_max_num_queries):
    client, labeler, url = desk
    client.get(url)
    add_pairs(labeler.project, 100)
    with django_assert_max_num_queries(20):
        response = client.get(url)
    assert len(uids(response)) == 2
