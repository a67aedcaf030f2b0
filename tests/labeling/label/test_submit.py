"""Invariants 1, 2, 4: an answer is never updated or lost, is stored against responses, is counted once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.utils import timezone

from labeling.models import (
    Assignment,
    AssignmentState,
    Comparison,
    ComparisonState,
    Preference,
    Resolution,
    Reveal,
)
from labeling.services.allocation import LeaseLostError, lease_next, release_expired
from labeling.services.before import before_answer
from labeling.services.preferences import (
    AlreadySubmittedError,
    IdempotencyConflictError,
    UndoRefusedError,
    draft_save,
    preference_submit,
    preference_undo,
)
from tests.labeling.label.factories import make_labeler, make_project

pytestmark = pytest.mark.django_db
SCHEME = {
    "allow_tie": True,
    "allow_both_bad": True,
    "aspects": [{"key": "safe", "name": "Safe"}],
    "reasons": ["clearer", "safer"],
    "rationale": "optional",
}


def submit(lease: Assignment, key: str = "k1", *, is_change: bool = False, now=None, **data) -> Preference:
    return preference_submit(assignment=lease, data=data, idempotency_key=key, is_change=is_change, now=now)


def leased(*, swapped: bool | None = None, overlap: int = 1, **fields) -> Assignment:
    project = make_project(1, overlap=overlap, **fields)
    lease = lease_next(make_labeler(project))[0]
    if swapped is not None:
        Assignment.objects.filter(pk=lease.pk).update(swapped=swapped)
        lease.swapped = swapped
    return lease


@pytest.mark.parametrize(
    ("choice", "swapped", "outcome", "strength"),
    [
        ("1", False, "a", 4), ("2", False, "a", 3), ("3", False, "a", 2), ("4", False, "a", 1),
        ("5", False, "b", 1), ("6", False, "b", 2), ("7", False, "b", 3), ("8", False, "b", 4),
        ("1", True, "b", 4), ("4", True, "b", 1), ("5", True, "a", 1), ("8", True, "a", 4),
        ("tie", True, "tie", None), ("both_bad", False, "both_bad", None),
    ],
)  # fmt: skip
def test_outcome_is_stored_against_responses_not_sides(choice, swapped, outcome, strength):
    lease = leased(swapped=swapped)
    row = submit(lease, choice=choice, duration_ms=1234)
    comparison = lease.comparison
    assert (row.outcome, row.strength, row.duration_ms, row.revision) == (outcome, strength, 1234, 1)
    assert row.shown_left_id == (comparison.response_b_id if swapped else comparison.response_a_id)


def test_submit_settles_state_counts_and_resolution():
    lease = leased()
    submit(lease, choice="1")
    comparison = Comparison.objects.get()
    assert (comparison.state, comparison.label_count, comparison.open_slots) == (ComparisonState.DONE, 1, 0)
    assert Assignment.objects.get().state == AssignmentState.SUBMITTED
    assert Resolution.objects.get().vote_count == 1


def test_with_overlap_two_the_first_label_leaves_it_open():
    lease = leased(overlap=2)
    submit(lease, choice="1")
    comparison = Comparison.objects.get()
    assert (comparison.state, comparison.label_count, comparison.open_slots) == (ComparisonState.OPEN, 1, 1)


def test_aspects_reasons_and_rationale_are_kept():
    lease = leased(swapped=True, scheme=SCHEME)
    row = submit(
        lease, choice="8", aspects={"safe": "left"}, reasons=["safer", "clearer"], rationale=" 因为 "
    )
    assert (row.aspects, row.reasons, row.rationale) == ({"safe": "b"}, ["clearer", "safer"], "因为")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"choice": "9"}, "choice"),
        ({"choice": ""}, "choice"),
        ({"choice": "skip"}, "skip_reason"),
        ({"choice": "1", "aspects": {"nope": "left"}}, "aspects"),
        ({"choice": "1", "aspects": {"safe": "up"}}, "aspects"),
        ({"choice": "1", "aspects": "safe"}, "aspects"),
        ({"choice": "1", "reasons": ["invented"]}, "reasons"),
        ({"choice": "1", "reasons": [1]}, "reasons"),
        ({"choice": "1", "rationale": "x" * 5001}, "rationale"),
        ({"choice": "1", "duration_ms": "soon"}, "duration_ms"),
    ],
)
def test_a_bad_answer_is_refused_by_field_and_changes_nothing(data, field):
    lease = leased(scheme=SCHEME)
    with pytest.raises(ValidationError) as caught:
        submit(lease, **data)
    assert list(caught.value.message_dict) == [field]
    assert not Preference.objects.exists()
    assert Assignment.objects.get().state == AssignmentState.LEASED


def test_the_scheme_may_forbid_ties_and_demand_a_rationale():
    lease = leased(scheme={"allow_tie": False, "allow_both_bad": False, "rationale": "required"})
    for data in (
        {"choice": "tie", "rationale": "x"},
        {"choice": "both_bad", "rationale": "x"},
        {"choice": "1"},
    ):
        with pytest.raises(ValidationError):
            submit(lease, **data)
    assert submit(lease, choice="1", rationale="because").rationale == "because"


def test_skip_gives_the_slot_back_and_the_limit_sends_it_to_review():
    project = make_project(1, overlap=1, skip_limit=2)
    for count in (1, 2):
        lease = lease_next(make_labeler(project))[0]
        submit(lease, choice="skip", skip_reason="language")
        comparison = Comparison.objects.get()
        assert (comparison.skip_count, comparison.open_slots, comparison.label_count) == (count, 1, 0)
    assert comparison.state == ComparisonState.REVIEW
    assert lease_next(make_labeler(project)) == []


def test_same_key_same_body_is_the_same_row():
    lease = leased()
    first = submit(lease, choice="2", duration_ms=5)
    assert submit(lease, choice="2", duration_ms=5).pk == first.pk
    assert Preference.objects.count() == 1
    assert Comparison.objects.get().label_count == 1


def test_same_key_other_body_is_refused():
    lease = leased()
    submit(lease, choice="2")
    with pytest.raises(IdempotencyConflictError):
        submit(lease, choice="7")
    assert Preference.objects.count() == 1


def test_the_key_of_one_comparison_does_not_serve_another():
    project = make_project(2)
    first, second = lease_next(make_labeler(project))
    submit(first, choice="2")
    with pytest.raises(IdempotencyConflictError):
        submit(second, choice="2")


def test_a_second_answer_with_another_key_must_be_called_a_change():
    lease = leased()
    submit(lease, choice="2")
    with pytest.raises(AlreadySubmittedError):
        submit(lease, "k2", choice="7")


def test_an_expired_lease_is_accepted_while_a_slot_is_free():
    lease = leased()
    release_expired(timezone.now() + timedelta(days=1))
    assert Comparison.objects.get().open_slots == 1
    submit(lease, choice="1")
    comparison = Comparison.objects.get()
    assert (comparison.open_slots, comparison.label_count) == (0, 1)


def test_an_expired_lease_is_lost_once_somebody_else_has_it():
    lease = leased()
    release_expired(timezone.now() + timedelta(days=1))
    other = lease_next(make_labeler(lease.comparison.project))[0]
    with pytest.raises(LeaseLostError):
        submit(lease, choice="1")
    submit(other, "k2", choice="1")
    with pytest.raises(LeaseLostError):
        submit(lease, choice="1")
    assert Comparison.objects.get().label_count == 1


def test_a_changed_mind_is_a_new_revision_marked_after_the_reveal():
    lease = leased()
    first = submit(lease, choice="1")
    Reveal.objects.create(user=lease.labeler.user, comparison=lease.comparison)
    second = submit(lease, "k2", choice="8", is_change=True)
    assert (first.revision, first.after_reveal) == (1, False)
    assert (second.revision, second.after_reveal) == (2, True)
    assert Comparison.objects.get().label_count == 1
    assert Resolution.objects.get().vote_count == 1
    assert Resolution.objects.get().outcome == second.outcome


def test_a_change_where_nothing_was_revealed_is_not_marked():
    lease = leased()
    submit(lease, choice="1")
    assert not submit(lease, "k2", choice="8", is_change=True).after_reveal


def test_undo_is_a_withdrawn_revision_and_the_lease_is_held_again():
    lease = leased()
    submit(lease, choice="1")
    current = preference_undo(assignment=lease, idempotency_key="u1")
    assert current.state == AssignmentState.LEASED
    assert list(Preference.objects.values_list("revision", "outcome")) == [
        (1, lease_outcome(lease)),
        (2, "withdrawn"),
    ]
    comparison = Comparison.objects.get()
    assert (comparison.state, comparison.label_count, comparison.open_slots) == (ComparisonState.OPEN, 0, 0)
    assert not Resolution.objects.exists()
    again = submit(lease, "k2", choice="tie")
    assert (again.revision, again.after_reveal) == (3, False)
    assert Comparison.objects.get().state == ComparisonState.DONE


def lease_outcome(lease: Assignment) -> str:
    return "b" if lease.swapped else "a"


def test_undo_twice_is_undo_once():
    lease = leased()
    submit(lease, choice="1")
    preference_undo(assignment=lease, idempotency_key="u1")
    preference_undo(assignment=lease, idempotency_key="u1")
    assert Preference.objects.count() == 2
    assert Comparison.objects.get().label_count == 0


def test_a_late_repeat_of_an_undo_undoes_nothing_else_and_a_submits_key_is_refused():
    lease = leased()
    submit(lease, "k1", choice="1")
    with pytest.raises(IdempotencyConflictError):
        preference_undo(assignment=lease, idempotency_key="k1")
    preference_undo(assignment=lease, idempotency_key="u1")
    submit(lease, "k2", choice="8")
    preference_undo(assignment=lease, idempotency_key="u1")
    assert Assignment.objects.get(pk=lease.pk).state == AssignmentState.SUBMITTED
    assert Comparison.objects.get().label_count == 1


def test_an_undo_under_a_key_that_was_used_at_this_moment_is_a_conflict(monkeypatch):
    from labeling.services import preferences

    lease = leased()
    submit(lease, "k1", choice="1")
    # As where the other row is committed behind the look for it.
    blind = lambda *given: replace(before_answer(*given), known_id=None)  # noqa: E731
    monkeypatch.setattr(preferences, "before_answer", blind)
    with pytest.raises(IdempotencyConflictError):
        preference_undo(assignment=lease, idempotency_key="k1")
    assert Preference.objects.count() == 1
    assert Comparison.objects.get().label_count == 1


def test_undo_is_refused_after_its_time():
    lease = leased()
    submit(lease, choice="1", now=timezone.now() - timedelta(seconds=16))
    with pytest.raises(UndoRefusedError):
        preference_undo(assignment=lease, idempotency_key="u1")


def test_undo_of_nothing_and_of_a_change_is_refused():
    lease = leased()
    with pytest.raises(UndoRefusedError):
        preference_undo(assignment=lease, idempotency_key="u1")
    submit(lease, choice="1")
    submit(lease, "k2", choice="8", is_change=True)
    with pytest.raises(UndoRefusedError):
        preference_undo(assignment=lease, idempotency_key="u1")


def test_undo_of_a_skip_takes_the_slot_again_or_says_it_is_lost():
    project = make_project(1, skip_limit=1)
    lease = lease_next(make_labeler(project))[0]
    submit(lease, choice="skip", skip_reason="broken")
    assert Comparison.objects.get().state == ComparisonState.REVIEW
    preference_undo(assignment=lease, idempotency_key="u1")
    comparison = Comparison.objects.get()
    assert (comparison.state, comparison.skip_count, comparison.open_slots) == (ComparisonState.OPEN, 0, 0)
    submit(lease, "k2", choice="skip", skip_reason="broken")
    Comparison.objects.update(open_slots=0)
    with pytest.raises(LeaseLostError):
        preference_undo(assignment=lease, idempotency_key="u2")


def test_undo_brings_back_what_was_said():
    lease = leased(scheme=SCHEME)
    draft_save(assignment=lease, draft={"rationale": "half"})
    submit(lease, choice="1", rationale="whole", reasons=["safer"], aspects={"safe": "right"})
    current = preference_undo(assignment=lease, idempotency_key="u1")
    assert current.draft == {
        "choice": "", "rationale": "whole", "reasons": ["safer"], "aspects": {"safe": "right"}
    }  # fmt: skip


def test_a_draft_is_kept_until_the_answer():
    lease = leased()
    assert draft_save(assignment=lease, draft={"rationale": "half"})
    submit(lease, choice="1")
    assert not draft_save(assignment=lease, draft={"rationale": "late"})


def test_the_database_refuses_to_change_a_preference():
    row = submit(leased(), choice="1")
    with pytest.raises(DatabaseError), transaction.atomic():
        Preference.objects.filter(pk=row.pk).update(outcome="tie")


def test_a_pause_does_not_lose_an_answer_under_way():
    lease = leased()
    lease.comparison.project.is_paused = True
    lease.comparison.project.save()
    assert submit(lease, choice="1").revision == 1
