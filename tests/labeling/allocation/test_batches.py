"""Batches: kept for their people, most urgent first, paused, over, given back; and people who are paused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from labeling.models import Batch, BatchPerson, Comparison, Labeler, Prompt, Role
from labeling.selectors.work import batch_row
from labeling.services import batches
from labeling.services.allocation import PersonPausedError, lease_next
from labeling.services.batches import (
    Choice,
    batch_create,
    batch_delete,
    batch_extend,
    batch_release,
    batch_update,
    batches_tick,
)
from labeling.services.bookmark import THE_END
from labeling.services.preferences import preference_submit, preference_undo
from labeling.services.qualification import person_pause, person_resume
from tests.labeling.label.factories import make_labeler, make_project
from webapp.audit.models import AuditEvent
from webapp.notices.models import Notice
from webapp.users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager():
    return User.objects.create_user("manager")


def make_batch(project, manager, *people, number=2, **fields):
    values = {"name": f"batch {number} {len(people)} {fields}"[:100], "deadline": None, **fields}
    choice = values.pop("choice", Choice(number))
    return batch_create(project=project, people=list(people), choice=choice, actor=manager, **values)


def priorities(labeler: Labeler, count: int) -> list[float]:
    return [lease.comparison.priority for lease in lease_next(labeler, count=count)]


def test_a_batch_is_kept_for_its_people_and_comes_first(manager):
    project = make_project(6)
    doctor, other = make_labeler(project), make_labeler(project)
    Prompt.objects.filter(comparisons__priority__lte=2).update(topic="medical")
    batch = make_batch(project, manager, doctor, choice=Choice(10, topic="medical"))
    assert Comparison.objects.filter(batch=batch).count() == 2
    assert priorities(other, 6) == [6, 5, 4, 3]
    leases = lease_next(doctor, count=2)
    assert [(lease.comparison.priority, lease.drawn) for lease in leases] == [(2, "batch"), (1, "batch")]


def test_the_most_urgent_batch_comes_first_and_one_without_a_deadline_last(manager):
    project = make_project(4)
    doctor = make_labeler(project)
    now = timezone.now()
    make_batch(project, manager, doctor, number=1, name="open end")
    make_batch(project, manager, doctor, number=1, name="next week", deadline=now + timedelta(days=7))
    make_batch(project, manager, doctor, number=1, name="tomorrow", deadline=now + timedelta(days=1))
    assert priorities(doctor, 4) == [2, 3, 4, 1]


def test_a_paused_batch_hands_nothing_out_and_keeps_its_places(manager):
    project = make_project(3)
    doctor, other = make_labeler(project), make_labeler(project)
    batch = make_batch(project, manager, doctor)
    batch_update(batch=batch, actor=manager, is_paused=True)
    assert priorities(doctor, 3) == [1]
    assert priorities(other, 3) == []
    batch_update(batch=batch, actor=manager, is_paused=False)
    assert priorities(doctor, 3) == [1, 3, 2]


def test_a_released_batch_is_everybodys_also_for_those_whose_bookmark_had_passed_it(manager):
    project = make_project(4, overlap=2)
    doctor, other = make_labeler(project), make_labeler(project)
    batch = make_batch(project, manager, doctor)
    lease = lease_next(doctor, count=1)[0]
    preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key="k")
    assert priorities(other, 4) == [2, 1]
    other.refresh_from_db()
    assert other.passed_id is not None
    assert batch_release(batch=batch, actor=manager) == 2
    assert priorities(other, 4) == [2, 1, 4, 3]
    batch.refresh_from_db()
    with pytest.raises(ValidationError, match="closed"):
        batch_release(batch=batch, actor=manager)


def test_progress_of_a_batch_counts_what_is_done_or_in_review(manager):
    project = make_project(3)
    doctor = make_labeler(project)
    batch = make_batch(project, manager, doctor, number=3)
    lease = lease_next(doctor, count=1)[0]
    preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key="k")
    row = batch_row(batch)
    assert (row.total, row.done, row.percent, row.state) == (3, 1, 33, "open")
    assert row.usernames == [doctor.user.username]


def test_a_deadline_is_announced_once_and_takes_nothing_away(manager):
    project = make_project(2)
    project.memberships.create(user=manager, role="manager")
    doctor = make_labeler(project)
    batch = make_batch(
        project, manager, doctor, name="secret name", deadline=timezone.now() + timedelta(days=2)
    )
    assert batches_tick() == 0
    assert batches_tick(timezone.now() + timedelta(hours=30)) == 1
    assert batches_tick(timezone.now() + timedelta(hours=31)) == 0
    told = Notice.objects.get(kind="batch.due")
    assert told.user == doctor.user
    assert "secret name" not in str(told.text)
    assert batches_tick(timezone.now() + timedelta(days=3)) == 1
    assert Notice.objects.get(kind="batch.over").user == manager
    assert len(priorities(doctor, 2)) == 2
    batch_update(batch=batch, actor=manager, deadline=timezone.now() + timedelta(days=5))
    assert batches_tick(timezone.now() + timedelta(days=4, hours=12)) == 1


def test_a_batch_that_its_people_cannot_finish_is_told_of_once(manager):
    project = make_project(1, overlap=2)
    project.memberships.create(user=manager, role="manager")
    doctor, other = make_labeler(project), make_labeler(project)
    batch = make_batch(project, manager, doctor, number=1)
    assert batches_tick() == 0  # not begun
    lease = lease_next(doctor)[0]
    assert batches_tick() == 0  # in hand
    preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key="k")
    assert batches_tick() == 1
    assert batches_tick() == 0
    assert Notice.objects.get(kind="batch.stuck").user == manager
    assert batch_row(Batch.objects.get()).state == "stuck"
    batch_update(batch=batch, actor=manager, people=[doctor, other])
    assert batches_tick() == 0
    assert batch_row(Batch.objects.get()).state == "open"
    assert len(lease_next(other)) == 1


@pytest.mark.parametrize("how", ["paused", "removed", "another role", "barred", "account gone", "failed"])
def test_a_batch_whose_people_can_be_given_nothing_is_told_of_until_one_of_them_can(manager, how):
    project = make_project(1, qualification_size=2)
    project.memberships.create(user=manager, role="manager")
    doctor, other = make_labeler(project), make_labeler(project)
    make_batch(project, manager, doctor, other, number=1)
    Labeler.objects.filter(pk=other.pk).update(paused_at=timezone.now())
    assert batches_tick() == 0  # the doctor has yet to qualify, and may
    own = Labeler.objects.filter(pk=doctor.pk)
    {
        "paused": lambda: own.update(paused_at=timezone.now()),
        "removed": doctor.user.memberships.all().delete,
        "another role": lambda: doctor.user.memberships.update(role=Role.VIEWER),
        "barred": lambda: User.objects.filter(pk=doctor.user_id).update(is_active=False),
        "account gone": doctor.user.delete,
        "failed": lambda: own.update(failed_at=timezone.now()),
    }[how]()
    assert (batches_tick(), batches_tick()) == (1, 0)
    assert Notice.objects.get(kind="batch.stuck").user == manager
    assert batch_row(Batch.objects.get()).state == "stuck"
    Labeler.objects.filter(pk=other.pk).update(paused_at=None)
    assert batches_tick() == 0
    assert batch_row(Batch.objects.get()).state == "open"


def test_what_comes_back_to_life_in_a_closed_batch_goes_to_everybody(manager):
    project = make_project(1)
    doctor, other = make_labeler(project), make_labeler(project)
    batch = make_batch(project, manager, doctor, number=1)
    lease = lease_next(doctor)[0]
    preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key="k")
    batch_release(batch=batch, actor=manager)
    preference_undo(assignment=lease, idempotency_key="u")
    lease.refresh_from_db()
    Comparison.objects.update(open_slots=1)
    lease.delete()
    assert priorities(other, 1) == []
    batches_tick()
    assert priorities(other, 1) == [1]


def test_more_comparisons_a_choice_that_fits_nothing_and_removal(manager):
    project = make_project(3)
    doctor, other = make_labeler(project), make_labeler(project)
    batch = make_batch(project, manager, doctor, number=1)
    assert batch_extend(batch=batch, choice=Choice(1), actor=manager) == 1
    with pytest.raises(ValidationError, match="fits this choice"):
        batch_extend(batch=batch, choice=Choice(1, language="tlh"), actor=manager)
    with pytest.raises(ValidationError, match="20000"):
        batch_extend(batch=batch, choice=Choice(20_001), actor=manager)
    batch_delete(batch=batch, actor=manager)
    assert priorities(other, 3) == [3, 2, 1]


@pytest.mark.parametrize(
    ("fields", "people", "field"),
    [
        ({"name": "taken"}, 1, "name"),
        ({"name": " "}, 1, "name"),
        ({}, 0, "people"),
        ({"deadline": timezone.now() - timedelta(hours=1)}, 1, "deadline"),
        ({"choice": Choice(0)}, 1, "number"),
    ],
)
def test_what_makes_no_batch_is_said_by_field(manager, fields, people, field):
    project = make_project(3)
    doctor = make_labeler(project)
    make_batch(project, manager, doctor, number=1, name="taken")
    with pytest.raises(ValidationError) as caught:
        make_batch(project, manager, *[doctor] * people, number=1, **fields)
    assert set(caught.value.message_dict) == {field}
    assert Comparison.objects.filter(batch__isnull=False).count() == 1


def test_a_paused_person_gets_nothing_more_but_may_answer_what_is_in_hand(manager):
    project = make_project(3)
    labeler = make_labeler(project)
    lease = lease_next(labeler, count=1)[0]
    person_pause(labeler=labeler, actor=manager)
    with pytest.raises(PersonPausedError):
        lease_next(labeler)
    assert preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key="k").pk
    person_resume(labeler=labeler, actor=manager)
    assert priorities(labeler, 2) == [2, 1]


def test_its_people_are_told_when_it_is_made_and_when_they_join(manager):
    project = make_project(6)
    first, second, other = (make_labeler(project) for _ in range(3))
    batch = make_batch(project, manager, first, name="urgent and secret")
    told = Notice.objects.get()
    assert (told.user, told.kind) == (first.user, "batch.new")
    assert "secret" not in str(told.text)
    batch_update(batch=batch, actor=manager, people=[first, second])
    batch_update(batch=batch, actor=manager, name="other")
    assert list(Notice.objects.order_by("pk").values_list("user", flat=True)) == [
        first.user_id,
        second.user_id,
    ]
    assert not Notice.objects.filter(user=other.user).exists()


def test_where_others_were_faster_no_batch_is_left_behind(manager, monkeypatch):
    """What was chosen is finished before it is moved: neither an empty batch nor a note of one."""
    project = make_project(3)
    ids = list(Comparison.objects.values_list("pk", flat=True))
    monkeypatch.setattr(batches, "_chosen", lambda _project, _choice: ids)
    Comparison.objects.filter(pk__in=ids[:2]).update(state="done", open_slots=0)
    batch = make_batch(project, manager, make_labeler(project), name="one")
    assert AuditEvent.objects.get(action="batch.create").detail["number"] == 1
    with pytest.raises(ValidationError) as refused:
        make_batch(project, manager, make_labeler(project), name="none")
    assert "number" in refused.value.message_dict
    assert list(Batch.objects.all()) == [batch]
    assert AuditEvent.objects.filter(action="batch.create").count() == 1


def test_what_is_added_later_is_found_before_the_bookmark(manager):
    project = make_project(8)
    doctor = make_labeler(project)
    Prompt.objects.filter(comparisons__priority__lte=3).update(topic="medical")
    batch = make_batch(project, manager, doctor, choice=Choice(3, topic="medical"))
    for lease in lease_next(doctor, count=3):
        preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key=str(lease.pk))
    assert [lease.drawn for lease in lease_next(doctor, count=1)] == ["priority"]
    assert BatchPerson.objects.get().passed_id == THE_END[1]
    batch_extend(batch=batch, choice=Choice(2), actor=manager)
    drawn = [(lease.comparison.priority, lease.drawn) for lease in lease_next(doctor, count=3)]
    assert drawn == [(8, "priority"), (7, "batch"), (6, "batch")]
