"""A reviewer's word settles a comparison; it is append-only, idempotent, and can be taken back."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from labeling.models import Adjudication, Comparison, ComparisonState, Resolution, Role
from labeling.services.adjudication import (
    NotAdjudicatedError,
    RetiredError,
    ReviewKeyConflictError,
    adjudicate,
    adjudication_withdraw,
)
from labeling.services.allocation import LeaseLostError, lease_next
from labeling.services.preferences import preference_submit, preference_undo
from labeling.services.projects import project_update
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import read_snapshot
from tests.factories import make_member
from tests.labeling.label.factories import make_labeler, make_project
from tests.labeling.label.test_race import in_threads, while_it_waits
from tests.labeling.review.factories import answer, answers, kinds, voice

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project(1, overlap=2)


@pytest.fixture
def reviewer(project):
    return make_member(project, Role.REVIEWER)


def only(project) -> Comparison:
    return Comparison.objects.get(project=project)


def settle(
    project, reviewer, outcome="b", key="k", *, reason="B names the dosage.", strength=2
) -> Adjudication:
    return adjudicate(
        comparison=only(project),
        reviewer=reviewer,
        outcome=outcome,
        strength=strength,
        reason=reason,
        key=key,
    )


def test_it_settles_the_comparison_and_empties_the_queues(project, reviewer):
    answers(project, "2", "7")
    voice(only(project), "a", 0.9)
    assert kinds(only(project)) == {"people": 1.0}
    row = settle(project, reviewer)
    resolution = Resolution.objects.get()
    assert (resolution.outcome, resolution.p_a, resolution.strength) == ("b", 0.0, 2)
    assert resolution.method == "adjudicated"
    assert (resolution.votes_a, resolution.votes_b, resolution.is_disputed) == (1, 1, True)
    assert (row.reason, row.reviewer, row.outcome) == ("B names the dosage.", reviewer, "b")
    assert kinds(only(project)) == {}
    assert kinds(only(project), settled=True) == {"people": 1.0}


@pytest.mark.parametrize(("outcome", "p_a"), [("a", 1.0), ("b", 0.0), ("tie", 0.5), ("both_bad", 0.5)])
def test_every_outcome_has_its_share(project, reviewer, outcome, p_a):
    settle(project, reviewer, outcome, strength=None)
    assert (Resolution.objects.get().outcome, Resolution.objects.get().p_a) == (outcome, p_a)


def test_later_voices_and_votes_do_not_move_it(project, reviewer):
    first, second = answers(project, "2", "7")
    settle(project, reviewer)
    lease = first.assignments.get()
    preference_submit(assignment=lease, data={"choice": "8"}, idempotency_key="mind", is_change=True)
    voice(only(project), "a", 0.95)
    resolution = Resolution.objects.get()
    assert (resolution.outcome, resolution.method) == ("b", "adjudicated")
    assert resolution.votes_a + resolution.votes_b == 2
    assert kinds(only(project)) == {}
    assert second.assignments.get().state == "submitted"


def test_nobody_is_given_what_is_settled_and_a_lease_under_way_is_refused(project, reviewer):
    lease = lease_next(make_labeler(project))[0]
    settle(project, reviewer)
    assert only(project).state == ComparisonState.DONE
    assert lease_next(make_labeler(project)) == []
    with pytest.raises(LeaseLostError):
        preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key="late")


def test_an_undo_after_it_does_not_open_the_comparison(reviewer, project):
    _first, second = answers(project, "2", "7")
    settle(project, reviewer)
    preference_undo(assignment=second.assignments.get(), idempotency_key="undo")
    comparison = only(project)
    assert (comparison.state, comparison.open_slots, comparison.label_count) == ("done", 0, 1)
    assert Resolution.objects.get().method == "adjudicated"


def test_a_higher_overlap_does_not_open_it_again(project, reviewer):
    answers(project, "2", "7")
    settle(project, reviewer)
    project_update(project=project, actor=reviewer, overlap=4)
    assert only(project).state == ComparisonState.DONE


def test_the_same_key_is_the_same_row_and_other_words_are_refused(project, reviewer):
    answers(project, "2", "7")
    rows = {settle(project, reviewer).pk for _ in range(3)}
    assert len(rows) == 1
    assert Adjudication.objects.count() == 1
    with pytest.raises(ReviewKeyConflictError):
        settle(project, reviewer, "a")


def test_of_two_reviewers_the_later_counts_and_both_rows_stay(project, reviewer):
    settle(project, reviewer, "b", "k1")
    settle(project, make_member(project, Role.MANAGER), "a", "k1", strength=4)
    assert list(Adjudication.objects.values_list("outcome", flat=True)) == ["b", "a"]
    assert Resolution.objects.get().outcome == "a"


@pytest.mark.parametrize("reason", ["", "  \n", "\x00"])
def test_a_reason_is_asked_for(project, reviewer, reason):
    with pytest.raises(ValidationError, match="Say why"):
        settle(project, reviewer, reason=reason)
    assert Adjudication.objects.count() == Resolution.objects.count() == 0


@pytest.mark.parametrize(
    ("outcome", "strength"), [("", None), ("skip", None), ("withdrawn", None), ("tie", 2), ("a", 5), ("a", 0)]
)
def test_nonsense_is_refused(project, reviewer, outcome, strength):
    with pytest.raises(ValidationError):
        settle(project, reviewer, outcome, strength=strength)


def test_what_is_retired_stays_retired(project, reviewer):
    Comparison.objects.update(state="retired")
    with pytest.raises(RetiredError):
        settle(project, reviewer)


def test_taking_it_back_gives_the_votes_their_say_again(project, reviewer):
    answers(project, "2", "7")
    settle(project, reviewer)
    row = adjudication_withdraw(comparison=only(project), reviewer=reviewer, reason="Too fast.", key="w")
    assert row.outcome == "withdrawn"
    resolution = Resolution.objects.get()
    assert (resolution.outcome, resolution.method, resolution.p_a) == ("tie", "majority", 0.5)
    assert only(project).state == ComparisonState.DONE
    assert kinds(only(project)) == {"people": 1.0}
    assert Adjudication.objects.count() == 2
    with pytest.raises(NotAdjudicatedError):
        adjudication_withdraw(comparison=only(project), reviewer=reviewer, reason="Again.", key="w2")


def test_taking_it_back_opens_the_places_that_are_left(project, reviewer):
    answers(project, "2")
    settle(project, reviewer)
    adjudication_withdraw(comparison=only(project), reviewer=reviewer, reason="Ask one more.", key="w")
    comparison = only(project)
    assert (comparison.state, comparison.open_slots) == (ComparisonState.OPEN, 1)
    answer(make_labeler(project), "2")
    assert only(project).state == ComparisonState.DONE


def test_taking_back_what_was_skipped_too_often_puts_it_into_review():
    project = make_project(1, overlap=3, skip_limit=1)
    answer(make_labeler(project), "", skip_reason="unclear")
    reviewer = make_member(project, Role.REVIEWER)
    settle(project, reviewer)
    adjudication_withdraw(comparison=only(project), reviewer=reviewer, reason="No.", key="w")
    assert only(project).state == ComparisonState.REVIEW
    assert kinds(only(project)) == {"skipped": 1.0}
    assert Resolution.objects.count() == 0


def test_a_snapshot_takes_the_settled_outcome(project, reviewer):
    answers(project, "2", "2")
    settle(project, reviewer, "b")
    snapshot = snapshot_build(snapshot_create(project=project, created_by=reviewer, enqueue=False))
    assert [row.outcome for row in read_snapshot(snapshot)] == ["b"]


@pytest.mark.django_db(transaction=True)
def test_many_reviewers_at_once_leave_one_settlement_and_all_rows():
    project = make_project(1, overlap=2)
    people = [make_member(project, Role.REVIEWER) for _ in range(8)]
    in_threads(lambda person: settle(project, person, "ab"[person.pk % 2], str(person.pk)), people)
    last = Adjudication.objects.order_by("-pk").first()
    assert Adjudication.objects.count() == 8
    assert Resolution.objects.get().outcome == last.outcome


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_change_of_mind_that_waited_for_an_adjudication_does_not_undo_it(project, reviewer):
    """What PostgreSQL joins to a row that it waited for is as old as the statement, not as the row."""
    person = make_labeler(project)
    answer(person, "2")
    lease = person.assignments.get()

    def late():
        preference_submit(assignment=lease, data={"choice": "7"}, idempotency_key="late", is_change=True)

    while_it_waits(lambda: settle(project, reviewer, outcome="b"), late)
    found = Resolution.objects.get()
    assert (found.method, found.outcome, found.votes_a + found.votes_b) == ("adjudicated", "b", 1)
