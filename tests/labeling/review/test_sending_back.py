"""Sending back: exactly so many more places, or the same people asked to look again."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from labeling.models import Batch, Comparison, Preference, Reveal, Role, SentBack
from labeling.services.adjudication import adjudicate
from labeling.services.allocation import bookmarks_void, lease_next
from labeling.services.preferences import preference_submit
from labeling.services.sending_back import AdjudicatedAlreadyError, NobodyToAskError, send_back
from tests.factories import make_member
from tests.labeling.label.factories import make_labeler, make_project
from tests.labeling.label.test_race import in_threads
from tests.labeling.review.factories import answer, answers, kinds
from webapp.notices.models import Notice

pytestmark = pytest.mark.django_db


def only(project) -> Comparison:
    return Comparison.objects.order_by("pk").filter(project=project).first()


def test_others_are_asked_first_of_all_and_the_case_waits_beside_the_queues():
    project = make_project(3, overlap=2)
    reviewer = make_member(project, Role.REVIEWER)
    answers(project, "2", "7")
    row = send_back(comparison=only(project), actor=reviewer, to="others", more=2, note="Two more, please.")
    comparison = only(project)
    assert (comparison.state, comparison.needed, comparison.open_slots) == ("open", 4, 2)
    assert (row.more, row.note) == (2, "Two more, please.")
    assert kinds(comparison) == {"sent_back": 1.0}
    for person in (make_labeler(project), make_labeler(project)):
        assert lease_next(person, count=1)[0].comparison_id == comparison.pk
        answer(person, "1")
    assert only(project).state == "done"
    assert kinds(only(project)) == {"people": 0.5}
    assert Notice.objects.count() == 0


def test_what_was_skipped_too_often_is_asked_of_so_many_people():
    project = make_project(1, overlap=3, skip_limit=1)
    answer(make_labeler(project), "", skip_reason="unclear")
    send_back(comparison=only(project), actor=make_member(project, Role.REVIEWER), to="others", more=1)
    assert (only(project).state, only(project).open_slots) == ("open", 1)
    answer(make_labeler(project), "2")
    assert only(project).state == "done"


def test_what_was_a_batchs_is_asked_of_everybody():
    project = make_project(1)
    answers(project, "2")
    comparison = only(project)
    comparison.batch = Batch.objects.create(project=project, name="Friday")
    comparison.save(update_fields=["batch"])
    send_back(comparison=comparison, actor=make_member(project, Role.REVIEWER), to="others", more=1)
    assert lease_next(make_labeler(project), count=1)[0].comparison_id == comparison.pk


@pytest.mark.parametrize("more", [0, -1, 50, 10**6])
def test_nobody_and_too_many_are_refused(more):
    project = make_project(1)
    answers(project, "2")
    with pytest.raises(ValidationError, match="labels at most"):
        send_back(comparison=only(project), actor=make_member(project), to="others", more=more)
    assert SentBack.objects.count() == 0


def test_what_a_reviewer_has_settled_is_not_sent_back():
    project = make_project(1)
    reviewer = make_member(project, Role.REVIEWER)
    adjudicate(comparison=only(project), reviewer=reviewer, outcome="tie", reason="Same.", key="k")
    with pytest.raises(AdjudicatedAlreadyError):
        send_back(comparison=only(project), actor=reviewer, to="others")


def test_the_same_people_are_told_see_the_note_and_are_marked_as_having_seen_it():
    project = make_project(1, overlap=2)
    first, second = answers(project, "2", "7")
    note = "Is **this dosage** right?"
    send_back(comparison=only(project), actor=make_member(project, Role.REVIEWER), to="same", note=note)
    assert set(Notice.objects.values_list("user", flat=True)) == {first.user_id, second.user_id}
    told = Notice.objects.get(user=second.user)
    assert "dosage" not in str(told.text)
    client = Client()
    client.force_login(second.user)
    page = client.get(told.url)
    assert page.status_code == 200
    html = page.content.decode()
    assert "<strong>this dosage</strong>" in html
    assert first.name not in html
    assert Reveal.objects.filter(user=second.user).exists()
    lease = second.assignments.get()
    url = f"/projects/{project.slug}/label/{lease.uid}/change"
    assert client.post(url, {"choice": "7" if lease.swapped else "2"}).status_code == 302
    row = Preference.objects.filter(labeler=second).latest("revision")
    assert (row.revision, row.outcome, row.after_reveal) == (2, "a", True)
    assert kinds(only(project)) == {}


def test_the_page_is_for_the_one_who_was_asked_and_not_before():
    project = make_project(1, overlap=2)
    first, second = answers(project, "2", "7")
    uid = first.assignments.get().uid
    client = Client()
    client.force_login(first.user)
    url = f"/projects/{project.slug}/again/{uid}/"
    assert client.get(url).status_code == 404
    send_back(comparison=only(project), actor=make_member(project, Role.REVIEWER), to="same")
    assert client.get(url).status_code == 200
    client.force_login(second.user)
    assert client.get(url).status_code == 404


def test_while_a_response_of_it_is_in_hand_the_note_stays_closed():
    project = make_project(1, overlap=2)
    first, _second = answers(project, "2", "7")
    comparison = only(project)
    sibling = Comparison.objects.create(
        project=project,
        prompt=comparison.prompt,
        response_a=comparison.response_a,
        response_b=comparison.prompt.responses.create(text="A third", content_hash="f" * 64),
        needed=1,
        open_slots=1,
    )
    bookmarks_void(project.pk)
    assert lease_next(first)[0].comparison_id == sibling.pk
    send_back(comparison=comparison, actor=make_member(project, Role.REVIEWER), to="same", note="B is right")
    client = Client()
    client.force_login(first.user)
    response = client.get(
        f"/projects/{project.slug}/again/{first.assignments.get(comparison=comparison).uid}/"
    )
    assert response.status_code == 403
    assert "B is right" not in response.content.decode()


def test_nobody_to_ask_is_said_and_changes_nothing():
    project = make_project(1)
    with pytest.raises(NobodyToAskError):
        send_back(comparison=only(project), actor=make_member(project, Role.REVIEWER), to="same")
    assert SentBack.objects.count() == 0
    assert kinds(only(project)) == {}


def drain(labeler) -> int:
    count = 0
    while leases := lease_next(labeler, count=1):
        preference_submit(assignment=leases[0], data={"choice": "3"}, idempotency_key=str(leases[0].uid))
        count += 1
    return count


@pytest.mark.django_db(transaction=True)
def test_sixteen_people_at_once_fill_exactly_the_places_asked_for():
    project = make_project(1, overlap=2)
    answers(project, "2", "7")
    send_back(comparison=only(project), actor=make_member(project, Role.REVIEWER), to="others", more=5)
    people = [make_labeler(project) for _ in range(16)]
    assert sum(in_threads(drain, people)) == 5
    comparison = only(project)
    assert (comparison.label_count, comparison.open_slots, comparison.state) == (7, 0, "done")
