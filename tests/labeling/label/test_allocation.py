"""Invariants 2 and 4: who gets what, no more than needed, and an abandoned lease comes back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from labeling.models import (
    Assignment,
    AssignmentState,
    Comparison,
    ComparisonState,
    DrawnBy,
    Outcome,
    Preference,
)
from labeling.services.allocation import (
    ProjectPausedError,
    is_swapped,
    lease_next,
    lease_renew,
    release_expired,
)
from labeling.services.leases import lease_take
from labeling.services.preferences import preference_submit
from labeling.tasks import release_leases
from tests.labeling.label.factories import make_labeler, make_project

pytestmark = pytest.mark.django_db


def answer(lease: Assignment, choice: str = "2", key: str = "") -> Preference:
    data = {"choice": choice, "skip_reason": "unclear" if choice == "skip" else ""}
    return preference_submit(assignment=lease, data=data, idempotency_key=key or f"key-{lease.pk}")


def lapse(labeler) -> None:
    Assignment.objects.filter(labeler=labeler).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def test_two_are_leased_ahead_by_priority_and_come_back_in_the_same_order():
    project = make_project(5)
    labeler = make_labeler(project)
    first = lease_next(labeler)
    assert [lease.comparison.priority for lease in first] == [5.0, 4.0]
    assert [lease.pk for lease in lease_next(labeler)] == [lease.pk for lease in first]
    assert list(Comparison.objects.order_by("-priority").values_list("open_slots", flat=True)) == [
        0,
        0,
        1,
        1,
        1,
    ]


def test_a_lease_taken_again_stands_behind_the_older_one():
    project = make_project(2)
    labeler = make_labeler(project)
    early, late = lease_next(labeler)
    Assignment.objects.filter(pk=early.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert release_expired() == 1
    assert [lease.pk for lease in lease_next(labeler)] == [late.pk, early.pk]
    assert [lease.pk for lease in lease_next(labeler)] == [late.pk, early.pk]


def test_two_people_never_hold_more_than_the_overlap():
    project = make_project(1, overlap=2)
    people = [make_labeler(project) for _ in range(3)]
    assert [len(lease_next(person)) for person in people] == [1, 1, 0]


def test_an_answered_or_skipped_comparison_never_returns_to_the_same_person():
    project = make_project(2, overlap=3)
    labeler = make_labeler(project)
    done, skipped = lease_next(labeler)
    answer(done)
    answer(skipped, "skip")
    assert lease_next(labeler) == []


def test_a_comparison_with_an_imported_vote_of_the_person_is_left_out():
    project = make_project(2, overlap=2)
    labeler = make_labeler(project)
    known = Comparison.objects.order_by("-priority").first()
    Preference.objects.create(
        project=project, comparison=known, labeler=labeler, outcome=Outcome.A, source="import",
        idempotency_key="import:1", request_hash="x", created_at=timezone.now(),
    )  # fmt: skip
    assert [lease.comparison_id for lease in lease_next(labeler)] == [known.pk + 1]


def test_abandoned_lease_comes_back_and_reuses_its_row():
    project = make_project(1)
    gone, other = make_labeler(project), make_labeler(project)
    lease = lease_next(gone)[0]
    assert lease_next(other) == []
    lapse(gone)
    assert release_leases() == 1
    assert release_expired() == 0
    assert Comparison.objects.get().open_slots == 1
    again = lease_next(gone)[0]
    assert (again.pk, again.uid, again.swapped) == (lease.pk, lease.uid, lease.swapped)
    lapse(gone)
    release_expired()
    assert [row.comparison_id for row in lease_next(other)] == [lease.comparison_id]


def test_many_lapsed_leases_of_one_comparison_come_back_together():
    project = make_project(3, overlap=4)
    people = [make_labeler(project) for _ in range(4)]
    for person in people:
        lease_next(person, count=3)
        lapse(person)
    assert set(Comparison.objects.values_list("open_slots", flat=True)) == {0}
    assert release_expired() == 12
    assert set(Comparison.objects.values_list("open_slots", flat=True)) == {4}


def test_a_lapsed_lease_not_collected_yet_is_simply_renewed():
    project = make_project(1)
    labeler = make_labeler(project)
    lease = lease_next(labeler)[0]
    lapse(labeler)
    again = lease_next(labeler)
    assert [row.pk for row in again] == [lease.pk]
    assert again[0].lease_expires_at > timezone.now()
    assert release_expired() == 0


def test_heartbeat_renews_a_held_lease_only():
    project = make_project(1)
    labeler = make_labeler(project)
    lease = lease_next(labeler)[0]
    assert lease_renew(lease)
    lapse(labeler)
    release_expired()
    assert not lease_renew(lease)


def test_a_retired_comparison_is_let_go():
    project = make_project(2)
    labeler = make_labeler(project)
    first, _second = lease_next(labeler)
    Comparison.objects.filter(pk=first.comparison_id).update(state=ComparisonState.RETIRED)
    assert [lease.comparison_id for lease in lease_next(labeler)] == [first.comparison_id + 1]
    assert Assignment.objects.get(pk=first.pk).state == AssignmentState.EXPIRED


def test_paused_project_hands_out_nothing():
    project = make_project(1, is_paused=True)
    with pytest.raises(ProjectPausedError):
        lease_next(make_labeler(project))


def test_sides_are_shuffled_by_a_stable_even_hash():
    project = make_project(400)
    labeler = make_labeler(project)
    sides = [is_swapped(labeler, pk) for pk in range(1, 2001)]
    assert sides == [is_swapped(labeler, pk) for pk in range(1, 2001)]
    assert 900 < sum(sides) < 1100
    lease = lease_next(labeler)[0]
    assert lease.swapped == is_swapped(labeler, lease.comparison_id)


def test_the_random_share_draws_beyond_the_top_of_the_queue():
    project = make_project(200, random_share=1.0)
    labeler = make_labeler(project)
    leases = lease_next(labeler, count=30)
    assert {lease.drawn for lease in leases} == {"random"}
    assert len({lease.comparison_id for lease in leases}) == 30
    assert sum(lease.comparison.priority <= 100 for lease in leases) > 3


def test_a_random_draw_wraps_round():
    project = make_project(1, random_share=1.0)
    Comparison.objects.update(random_key=0.0)
    assert len(lease_next(make_labeler(project))) == 1


def test_the_database_refuses_overallocation():
    make_project(1)
    with pytest.raises(IntegrityError), transaction.atomic():
        Comparison.objects.update(open_slots=-1)


def test_leasing_costs_the_same_few_queries(django_assert_max_num_queries):
    project = make_project(50)
    labeler = make_labeler(project)
    with django_assert_max_num_queries(22):
        leases = lease_next(labeler)
    with django_assert_max_num_queries(2):
        assert lease_next(labeler) == leases
    assert len(leases) == 2


def test_a_draw_that_waited_for_ones_own_answer_does_not_take_it_back():
    """What was drawn may have been answered in another tab before the draw had the lock."""
    project = make_project(1, overlap=2)
    labeler = make_labeler(project)
    lease = lease_next(labeler, count=1)[0]
    preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key="k")
    comparison = Comparison.objects.get()
    with transaction.atomic():
        assert lease_take(labeler, comparison, project, DrawnBy.PRIORITY) is None
    assert Comparison.objects.get().open_slots == comparison.open_slots == 1
    assert Assignment.objects.get().state == AssignmentState.SUBMITTED


def test_a_draw_that_knew_nothing_of_ones_own_lease_does_not_take_it_twice():
    """Nor does it break: in another tab the pair was ranked, or taken, after the draw had looked for a lease."""
    project = make_project(1, overlap=3)
    labeler = make_labeler(project)
    lease_next(labeler, count=1)
    comparison = Comparison.objects.get()
    comparison.own_id = None
    with transaction.atomic():
        assert lease_take(labeler, comparison, project, DrawnBy.PRIORITY) is None
    assert Comparison.objects.get().open_slots == comparison.open_slots == 2
    assert Assignment.objects.get().state == AssignmentState.LEASED
