"""Sending back: exactly so many more places, or the same people asked to look again."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from labeling.models import Batch, Comparison, Labeler, Preference, Reveal, Role, SentBack
from labeling.selectors.asking import people_to_ask
from labeling.services.adjudication import adjudicate
from labeling.services.allocation import bookmarks_void, lease_next
from labeling.services.batches import batch_release
from labeling.services.preferences import preference_submit, preference_undo
from labeling.services.sending_back import AdjudicatedAlreadyError, NobodyToAskError, send_back
from tests.factories import make_member, make_preference
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


def test_skips_begin_anew_and_an_older_skip_undone_takes_none_away():
    project = make_project(1, skip_limit=2)
    early, late = make_labeler(project), make_labeler(project)
    for person in (early, late):
        answer(person, "", skip_reason="unclear")
    assert only(project).state == "review"
    send_back(comparison=only(project), actor=make_member(project, Role.REVIEWER), to="others", more=2)
    preference_undo(assignment=late.assignments.get(), idempotency_key="of before")
    assert (only(project).state, only(project).skip_count) == ("open", 0)
    third = make_labeler(project)
    answer(third, "", skip_reason="unclear")
    assert (only(project).state, only(project).skip_count) == ("open", 1)
    preference_undo(assignment=third.assignments.get(), idempotency_key="of now")
    assert (only(project).state, only(project).skip_count) == ("open", 0)


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


# --- to people by name
def named(project, reviewer, *people, **fields) -> SentBack:
    return send_back(comparison=only(project), actor=reviewer, to="named", people=people, **fields)


def test_who_is_named_gets_it_next_and_nobody_else_does():
    project = make_project(3, overlap=1)
    answers(project, "2")
    reviewer = make_member(project, Role.REVIEWER)
    first, second, other = (make_labeler(project) for _ in range(3))
    row = named(project, reviewer, first, second, note="Not for them.")
    comparison = only(project)
    assert (comparison.state, comparison.needed, comparison.open_slots) == ("open", 3, 2)
    assert (row.more, set(row.people.all())) == (2, {first, second})
    assert comparison.pk not in {lease.comparison_id for lease in lease_next(other)}
    for person in (first, second):
        assert lease_next(person, count=1)[0].comparison_id == comparison.pk
        answer(person, "1")
    assert (only(project).state, kinds(only(project))) == ("done", {})
    told = Notice.objects.filter(user__in=[first.user, second.user])
    assert [notice.kind for notice in told] == ["batch.new"] * 2
    assert not any(word in str(notice.text) for notice in told for word in ("review", "Not for them"))


def test_who_is_named_and_has_answered_looks_again_alone():
    project = make_project(1, overlap=2)
    first, second = answers(project, "2", "7")
    reviewer, third = make_member(project, Role.REVIEWER), make_labeler(project)
    row = named(project, reviewer, second, third, note="Is the dosage right?")
    assert row.more == 1
    assert only(project).needed == 3
    assert Notice.objects.get(kind="review.again").user == second.user
    client = Client()
    for person, status in ((first, 404), (second, 200)):
        client.force_login(person.user)
        page = client.get(f"/projects/{project.slug}/again/{person.assignments.get().uid}/")
        assert (page.status_code, "dosage" in page.content.decode()) == (status, status == 200)
    client.force_login(third.user)
    assert "dosage" not in client.get(f"/projects/{project.slug}/label/").content.decode()


def test_people_named_again_share_one_batch_and_others_have_their_own():
    project = make_project(3, overlap=1)
    reviewer = make_member(project, Role.REVIEWER)
    first, second = make_labeler(project), make_labeler(project)
    pairs = list(Comparison.objects.filter(project=project).order_by("pk"))
    for pair, people in zip(pairs, ([first, second], [second, first], [first]), strict=True):
        send_back(comparison=pair, actor=reviewer, to="named", people=people)
    found = [Comparison.objects.get(pk=pair.pk).batch for pair in pairs]
    assert found[0] == found[1] != found[2]
    batch_release(batch=found[0], actor=reviewer)
    send_back(comparison=pairs[0], actor=reviewer, to="named", people=[first, second])
    anew = Comparison.objects.get(pk=pairs[0].pk).batch
    assert anew not in found
    assert anew.name == f"{found[0].name} 2"


def test_a_place_beside_the_one_who_has_it_in_hand():
    project = make_project(1, overlap=1)
    holder, fresh = make_labeler(project), make_labeler(project)
    reviewer = make_member(project, Role.REVIEWER)
    [lease] = lease_next(holder, count=1)
    with pytest.raises(ValidationError, match="in hand"):
        named(project, reviewer, holder)
    named(project, reviewer, fresh)
    assert (only(project).needed, only(project).open_slots) == (2, 1)
    preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key="h")
    assert only(project).state == "open"
    answer(fresh, "2")
    assert only(project).state == "done"


def test_who_could_not_be_given_it_is_neither_offered_nor_taken():
    project = make_project(1, overlap=3, skip_limit=9)
    reviewer = make_labeler(project, role=Role.REVIEWER)
    fine, paused, skipped, brought, viewer = (make_labeler(project) for _ in range(5))
    answer(skipped, "", skip_reason="unclear")
    Labeler.objects.filter(pk=paused.pk).update(paused_at=timezone.now())
    make_preference(only(project), brought, source="import")
    project.memberships.filter(user=viewer.user).update(role=Role.VIEWER)
    offered = people_to_ask(only(project), reviewer.user)
    assert [(row.member.user, row.how) for row in offered] == [(fine.user, "next")]
    for person in (paused, skipped, brought, viewer, reviewer):
        with pytest.raises(ValidationError, match=person.name):
            named(project, reviewer.user, fine, person)
    with pytest.raises(ValidationError, match="Name somebody"):
        named(project, reviewer.user)
    type(project).objects.filter(pk=project.pk).update(qualification_size=3)
    assert people_to_ask(only(project), reviewer.user) == []
    Labeler.objects.filter(pk=fine.pk).update(qualified_at=timezone.now())
    assert len(people_to_ask(only(project), reviewer.user)) == 1
    assert SentBack.objects.count() == Batch.objects.count() == 0


def test_the_desk_sends_it_to_whom_is_ticked():
    project = make_project(1, overlap=1)
    answers(project, "2")
    reviewer, asked = make_labeler(project, role=Role.REVIEWER), make_labeler(project)
    pk = only(project).pk
    client = Client()
    client.force_login(reviewer.user)
    html = client.get(f"/projects/{project.slug}/review/{pk}/").content.decode()
    member = project.memberships.get(user=asked.user)
    assert f'name="people" value="{member.pk}"' in html
    assert f'name="people" value="{project.memberships.get(user=reviewer.user).pk}"' not in html
    url = f"/projects/{project.slug}/comparisons/{pk}/send-back"
    refused = client.post(url, {"to": "named", "people": ["0", "x"], "back": "page"}, follow=True)
    assert "Name somebody to ask" in refused.content.decode()
    client.post(url, {"to": "named", "people": [str(member.pk)], "more": "1"})
    assert list(SentBack.objects.get().people.all()) == [asked]


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
