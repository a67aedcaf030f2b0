"""Rewrites: a new response that knows its parent, beats it, and is asked of nobody."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from labeling.hashing import response_hash
from labeling.models import Comparison, Preference, Resolution, Response
from labeling.services import rewriting
from labeling.services.allocation import LeaseLostError, lease_next, release_expired
from labeling.services.preferences import IdempotencyConflictError, UndoRefusedError, preference_submit
from labeling.services.projects import project_update
from labeling.services.ranking import ranking_next
from labeling.services.rewriting import (
    TEXT_MAX,
    RewritingOffError,
    RewrittenError,
    rewrite_submit,
    rewrite_withdraw,
)
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import read_snapshot
from tests.factories import make_user
from tests.labeling.label.test_rest import client_of
from tests.labeling.ranking.builders import add_prompt, make_labeler, ranking_project

pytestmark = pytest.mark.django_db
BETTER = "A better answer."


@pytest.fixture
def lease():
    project = ranking_project()
    add_prompt(project, 2)
    return lease_next(make_labeler(project))[0]


def left_of(lease) -> Response:
    comparison = lease.comparison
    return comparison.response_b if lease.swapped else comparison.response_a


def rewrite(lease, text=BETTER, key="k", side="left", **fields) -> Response:
    return rewrite_submit(assignment=lease, side=side, text=text, idempotency_key=key, **fields)


def test_a_rewrite_knows_its_parent_and_beats_it(lease):
    child = rewrite(lease, f"  {BETTER}\r\nReally.\x00 ")
    parent = left_of(lease)
    assert (child.text, child.parent, child.author, child.model_name) == (
        f"{BETTER}\nReally.", parent, lease.labeler, "",
    )  # fmt: skip
    pair = Comparison.objects.exclude(pk=lease.comparison_id).get()
    assert {pair.response_a_id, pair.response_b_id} == {parent.pk, child.pk}
    assert pair.response_a.content_hash < pair.response_b.content_hash
    assert (pair.state, pair.open_slots, pair.label_count) == ("done", 0, 1)
    wins = "a" if pair.response_a_id == child.pk else "b"
    assert Preference.objects.get().outcome == Resolution.objects.get().outcome == wins
    # The pair itself is still to be answered.
    assert Comparison.objects.get(pk=lease.comparison_id).label_count == 0


def test_the_side_is_that_of_the_screen(lease):
    child = rewrite(lease, side="right")
    assert child.parent_id != left_of(lease).pk


def test_a_rewrite_enters_nobodys_queue_whatever_the_overlap(lease):
    rewrite(lease)
    project = lease.comparison.project
    project_update(project=project, actor=make_user(), overlap=3)
    pair = Comparison.objects.exclude(pk=lease.comparison_id).get()
    assert (pair.state, pair.open_slots) == ("done", 0)
    asked = [row.comparison_id for row in lease_next(make_labeler(project), count=5)]
    assert asked == [lease.comparison_id]


def test_a_rewrite_is_no_response_to_rank(lease):
    rewrite(lease)
    assert Response.objects.count() == 3
    assert ranking_next(lease.labeler) is None
    assert ranking_next(make_labeler(lease.comparison.project)) is None


def test_a_rewrite_is_an_extra_pair_of_a_snapshot(lease):
    rewrite(lease)
    preference_submit(assignment=lease, data={"choice": "1"}, idempotency_key="vote")
    project = lease.comparison.project
    snapshot = snapshot_build(snapshot_create(project=project, created_by=make_user(), enqueue=False))
    rows = [(row.response_a, row.response_b, row.outcome) for row in read_snapshot(snapshot)]
    assert len(rows) == 2
    chosen = {(a if outcome == "a" else b) for a, b, outcome in rows}
    assert chosen == {BETTER, left_of(lease).text}


def test_the_same_key_twenty_times_is_one_rewrite(lease):
    assert len({rewrite(lease).pk for _ in range(20)}) == 1
    assert Preference.objects.count() == 1
    with pytest.raises(IdempotencyConflictError):
        rewrite(lease, "Another text.")
    with pytest.raises(RewrittenError):
        rewrite(lease, "Another text.", key="k2")
    assert (
        rewrite(lease, "The other response, better.", key="k3", side="right").parent_id != left_of(lease).pk
    )


def test_a_key_or_a_text_that_was_used_at_this_moment_is_refused_in_words(lease, monkeypatch):
    rewrite(lease)
    known = rewriting.known_rewrite

    def blind(*_given):
        """As where the other row is committed behind the look for it."""
        monkeypatch.setattr(rewriting, "known_rewrite", known)

    for deed in (
        lambda: rewrite(lease, "Another text.", side="right"),
        lambda: rewrite_withdraw(assignment=lease, side="left", idempotency_key="k"),
    ):
        monkeypatch.setattr(rewriting, "known_rewrite", blind)
        with pytest.raises(IdempotencyConflictError):
            deed()
    same = Response(prompt=lease.comparison.prompt, text="unseen", content_hash=response_hash("At once."))
    same.save()
    with pytest.raises(ValidationError, match="this text already"):
        rewrite(lease, "At once.", key="k2", side="right")
    assert Preference.objects.count() == 1


@pytest.mark.parametrize("text", ["", "  \n ", None, 7, "x" * (TEXT_MAX + 1), "same", "other"])
def test_texts_that_are_no_rewrite_are_refused_with_the_field(lease, text):
    known = {"same": lease.comparison.response_a.text, "other": lease.comparison.response_b.text}
    with pytest.raises(ValidationError) as raised:
        rewrite(lease, known.get(text, text))
    assert set(raised.value.message_dict) == {"text"}
    assert Response.objects.count() == 2


def test_a_lone_surrogate_is_replaced_and_a_bad_side_refused(lease):
    with pytest.raises(ValidationError):
        rewrite(lease, side="middle")
    assert rewrite(lease, "a\ud800b").text == "a?b"


def test_only_what_is_in_hand_or_answered_can_be_rewritten(lease):
    release_expired(lease.lease_expires_at)
    with pytest.raises(LeaseLostError):
        rewrite(lease)
    again = lease_next(lease.labeler)[0]
    preference_submit(assignment=again, data={"choice": "1"}, idempotency_key="vote")
    assert rewrite(again).parent_id == left_of(again).pk


def test_only_where_the_scheme_allows_it(lease):
    project = lease.comparison.project
    project.scheme = {}
    project.save()
    with pytest.raises(RewritingOffError):
        rewrite(lease)


def test_a_withdrawn_rewrite_is_retired_and_can_be_made_again(lease):
    child = rewrite(lease)
    for key in ("u", "u"):
        rewrite_withdraw(assignment=lease, side="left", idempotency_key=key)
    pair = Comparison.objects.exclude(pk=lease.comparison_id).get()
    assert (pair.state, pair.label_count) == ("retired", 0)
    assert not Resolution.objects.exists()
    with pytest.raises(UndoRefusedError):
        rewrite_withdraw(assignment=lease, side="left", idempotency_key="u2")
    assert rewrite(lease, key="k2").pk == child.pk
    assert list(Preference.objects.values_list("revision", flat=True)) == [1, 2, 3]
    pair.refresh_from_db()
    assert (pair.state, pair.label_count) == ("done", 1)
    assert Resolution.objects.count() == 1


def test_it_is_too_late_to_take_back_after_its_time(lease):
    rewrite(lease)
    late = timezone.now() + timedelta(seconds=16)
    with pytest.raises(UndoRefusedError):
        rewrite_withdraw(assignment=lease, side="left", idempotency_key="u", now=late)


def test_two_people_may_rewrite_the_same_response_in_different_words():
    project = ranking_project(overlap=2)
    add_prompt(project, 2)
    leases = [lease_next(make_labeler(project))[0] for _ in range(2)]
    parent = left_of(leases[0])
    sides = ["left" if left_of(lease).pk == parent.pk else "right" for lease in leases]
    rewrite(leases[0], side=sides[0])
    with pytest.raises(ValidationError):
        rewrite(leases[1], side=sides[1])
    rewrite(leases[1], "In other words.", side=sides[1])
    assert parent.rewrites.count() == 2


def test_the_page_and_its_forms(lease):
    client = Client()
    client.force_login(lease.labeler.user)
    base = f"/projects/{lease.comparison.project.slug}/label/"
    page = client.get(base).content.decode()
    assert f'action="{base}{lease.uid}/rewrite"' in page
    made = client.post(f"{base}{lease.uid}/rewrite", {"side": "left", "text": BETTER}, follow=True)
    assert "Your rewrite is kept as a better response." in made.content.decode()
    # The author's own pair page goes on as before.
    assert f'data-uid="{lease.uid}"' in made.content.decode()
    json = {"Accept": "application/json"}
    again = client.post(f"{base}{lease.uid}/rewrite", {"side": "left", "text": "x"}, headers=json)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_rewritten")
    empty = client.post(f"{base}{lease.uid}/rewrite", {"side": "left", "text": " "}, headers=json)
    assert (empty.status_code, empty.json()["error"]["code"]) == (400, "invalid")
    undone = client.post(f"{base}{lease.uid}/rewrite/undo", {"side": "left"}, headers=json)
    assert undone.json() == {"message": "Your rewrite was taken back."}


def test_over_rest(lease):
    client, base = client_of(lease.labeler), f"/api/v1/assignments/{lease.uid}/rewrite"
    key = {"Idempotency-Key": "one"}
    body = {"side": "left", "text": BETTER}
    assert client.post(base, body, format="json").status_code == 400
    for _ in range(2):
        assert client.post(base, body, format="json", headers=key).json() == {"kept": True}
    assert Preference.objects.get().source == "api"
    bad = client.post(base, {"side": "up", "text": ""}, format="json", headers={"Idempotency-Key": "two"})
    assert bad.status_code == 400
    assert "side" in str(bad.json())
    assert "text" in str(bad.json())
    undo = client.post(f"{base}/undo", {"side": "left"}, format="json", headers={"Idempotency-Key": "three"})
    assert undo.json() == {"kept": False}


def test_an_unfinished_rewrite_is_kept_by_side_until_it_is_saved(lease):
    client = Client()
    client.force_login(lease.labeler.user)
    slug = lease.comparison.project.slug
    url = f"/projects/{slug}/label/{lease.uid}/rewrite"
    for side, text in (
        ("left", "Half a\r\nsentence"),
        ("right", "Other"),
        ("left", "Half a\r\nsentence more"),
    ):
        assert client.post(f"{url}/draft", {"side": side, "text": text}).json() == {"kept": True}
    page = client.get(f"/projects/{slug}/label/").content.decode()
    assert ">\nHalf a\nsentence more</textarea>" in page
    assert page.count('class="rewrite a begun"') == page.count('class="rewrite b begun"') == 1
    preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key="vote")
    lease.refresh_from_db()
    assert lease.rewrites == {"left": "Half a\nsentence more", "right": "Other"}
    rewrite(lease)
    lease.refresh_from_db()
    assert lease.rewrites == {"right": "Other"}
    late = {"side": "left", "text": "Half a sentence"}
    assert client.post(f"{url}/draft", late).json() == {"kept": False}
    client.post(f"{url}/draft", {"side": "right", "text": ""})
    lease.refresh_from_db()
    assert lease.rewrites is None
    rewrite_withdraw(assignment=lease, side="left", idempotency_key="back")
    assert client.post(f"{url}/draft", late).json() == {"kept": True}


def test_an_unfinished_rewrite_is_not_kept_where_none_is_allowed_or_of_no_side(lease):
    client = Client()
    client.force_login(lease.labeler.user)
    url = f"/projects/{lease.comparison.project.slug}/label/{lease.uid}/rewrite/draft"
    assert (
        client.post(url, {"side": "up", "text": "x"}, headers={"Accept": "application/json"}).status_code
        == 400
    )
    project_update(project=lease.comparison.project, actor=make_user(), scheme={"rewrites": False})
    assert client.post(url, {"side": "left", "text": "x"}).json() == {"kept": False}
    lease.refresh_from_db()
    assert lease.rewrites is None
