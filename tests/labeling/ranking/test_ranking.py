"""Invariants 1, 2, 4 for rankings: all pairs or none, under one ranking, never one label too many."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.models import (
    Assignment,
    Comparison,
    Labeler,
    Preference,
    Ranking,
    RankingTask,
    Resolution,
    Response,
    Reveal,
)
from labeling.selectors.ranking import last_ranking, ranking_saved
from labeling.services.allocation import LeaseLostError, ProjectPausedError, lease_next, release_expired
from labeling.services.bookmark import THE_END, bookmarks_void
from labeling.services.preferences import (
    AlreadySubmittedError,
    IdempotencyConflictError,
    UndoRefusedError,
    preference_submit,
)
from labeling.services.ranked import ranking_skip, ranking_undo
from labeling.services.ranking import (
    RankingOffError,
    ranking_draft_save,
    ranking_next,
    ranking_release_expired,
    ranking_renew,
)
from labeling.services.ranking_deed import Deed
from tests.labeling.ranking.builders import add_prompt, make_labeler, rank, ranking_project, said

pytestmark = pytest.mark.django_db


def leased(count: int = 4, **fields) -> RankingTask:
    project = ranking_project()
    add_prompt(project, count, **fields)
    task = ranking_next(make_labeler(project))
    assert task is not None
    return task


def counts(**scope) -> set[tuple]:
    return set(
        Comparison.objects.filter(**scope).values_list("state", "label_count", "open_slots", "skip_count")
    )


def assert_counts_agree() -> None:
    """Slots are what labels and leases leave of the labels needed, and labels are the standing ones."""
    for row in Comparison.objects.all():
        leases = row.assignments.filter(state="leased").count()
        assert row.open_slots == max(0, row.needed - row.label_count - leases), row.pk
        assert row.label_count == row.assignments.filter(state="submitted").count(), row.pk


# --- leasing
def test_a_ranking_leases_every_pair_of_its_responses():
    task = leased()
    assert len(task.order) == 4
    assert Assignment.objects.filter(drawn="ranking", state="leased").count() == 6
    assert counts() == {("open", 0, 0, 0)}
    again = ranking_next(task.labeler)
    assert (again.pk, again.order) == (task.pk, task.order)
    assert Assignment.objects.count() == 6


def test_the_order_on_the_screen_is_the_persons_own_and_stays():
    project = ranking_project(overlap=30)
    add_prompt(project, 6)
    orders = [tuple(ranking_next(make_labeler(project)).order) for _ in range(10)]
    assert len(set(orders)) > 5
    assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(orders[0]))}


def test_the_prompt_of_the_highest_pair_comes_first_and_pairs_alone_are_passed_over():
    project = ranking_project()
    add_prompt(project, 2, priority=9)
    add_prompt(project, 3, priority=1)
    wanted = add_prompt(project, 3, priority=5)
    assert ranking_next(make_labeler(project)).prompt_id == wanted[0].prompt_id


def test_a_prompt_with_one_open_pair_is_left_to_the_pair_page():
    project = ranking_project()
    pairs = add_prompt(project, 3)
    Comparison.objects.exclude(pk=pairs[0].pk).update(state="done", open_slots=0, label_count=1)
    labeler = make_labeler(project)
    assert ranking_next(labeler) is None
    assert [lease.comparison_id for lease in lease_next(labeler)] == [pairs[0].pk]


def test_prompts_that_nobody_can_rank_now_cost_nothing_each():
    project, costs = ranking_project(), []
    for number in (1, 9):
        for _ in range(number):
            pairs = add_prompt(project, 3, priority=10)
            Comparison.objects.filter(pk__in=[row.pk for row in pairs[1:]]).update(open_slots=0)
        wanted, labeler = add_prompt(project, 3, priority=number), make_labeler(project)
        with CaptureQueriesContext(connection) as captured:
            assert ranking_next(labeler).prompt_id == wanted[0].prompt_id
        costs.append(len(captured))
    assert costs[0] == costs[1]


def test_of_more_than_eight_responses_those_of_the_highest_pairs_are_shown():
    project = ranking_project()
    pairs = add_prompt(project, 10)
    low = {pairs[0].response_a_id, pairs[0].response_b_id}
    for row in pairs:
        row.priority = 0.0 if {row.response_a_id, row.response_b_id} & low else 1.0
    Comparison.objects.bulk_update(pairs, ["priority"])
    task = ranking_next(make_labeler(project))
    assert len(task.order) == 8
    assert not low & set(task.order)
    assert Assignment.objects.count() == 28


def test_the_pair_page_does_not_ask_what_the_ranking_asks():
    task = leased()
    assert lease_next(task.labeler) == []
    rank(task, [1, 2, 3, 4])
    assert lease_next(task.labeler) == []
    assert ranking_next(task.labeler) is None


def test_off_paused_and_out_of_responses():
    project = ranking_project(scheme={})
    add_prompt(project, 3)
    labeler = make_labeler(project)
    with pytest.raises(RankingOffError):
        ranking_next(labeler)
    project.scheme, project.is_paused = {"screen": "ranking"}, True
    project.save()
    with pytest.raises(ProjectPausedError):
        ranking_next(labeler)


# --- writing
def test_all_pairs_are_written_against_responses_under_one_ranking():
    task = leased()
    row = rank(task, [2, 1, 2, 3], data={"rationale": "B is right.", "duration_ms": 4000})
    assert said(task) == {(0, 1): "<", (0, 2): "=", (0, 3): ">", (1, 2): ">", (1, 3): ">", (2, 3): ">"}
    b, a, c, d = task.order[1], task.order[0], task.order[2], task.order[3]
    assert (row.ranks, row.unranked, row.rationale, row.duration_ms) == (
        [[b], [a, c], [d]],
        [],
        "B is right.",
        4000,
    )
    rows = Preference.objects.all()
    assert {(vote.ranking_id, vote.revision, vote.strength, vote.shown_left_id) for vote in rows} == {
        (row.pk, 1, None, None)
    }
    assert counts() == {("done", 1, 0, 0)}
    assert Resolution.objects.count() == 6
    assert RankingTask.objects.get().state == "submitted"
    assert_counts_agree()


def test_of_unranked_responses_nothing_is_said_and_their_places_go_back():
    task = leased()
    row = rank(task, [1, None, 2, None])
    assert said(task) == {(0, 2): ">"}
    assert row.unranked == sorted(row.unranked, key=task.order.index) == [task.order[1], task.order[3]]
    assert counts(resolution__isnull=True) == {("open", 0, 1, 0)}
    # They are for others now, and were not skipped.
    assert lease_next(task.labeler) == []
    assert len(lease_next(make_labeler(task.project), count=9)) == 5
    assert_counts_agree()


def test_pairs_that_no_import_has_made_are_made():
    task = leased(4, pairs=[(0, 1), (0, 2), (0, 3)])
    rank(task, [1, 2, 3, 4])
    assert len(said(task)) == 6
    assert set(Comparison.objects.values_list("needed", "state", "open_slots")) == {(1, "done", 0)}
    hashes = dict(Response.objects.values_list("pk", "content_hash"))
    for row in Comparison.objects.all():
        assert hashes[row.response_a_id] < hashes[row.response_b_id]
    assert_counts_agree()


def test_a_pair_that_fails_leaves_nothing_of_the_ranking(monkeypatch):
    task = leased()

    def fails_at_the_last(rows, **fields):
        assert len(rows) == 6
        raise RuntimeError("the last pair")

    monkeypatch.setattr("labeling.services.ranking_deed.votes_settled", fails_at_the_last)
    with pytest.raises(RuntimeError, match="the last pair"):
        rank(task, [1, 2, 3, 4])
    assert (Preference.objects.count(), Ranking.objects.count(), Resolution.objects.count()) == (0, 0, 0)
    assert counts() == {("open", 0, 0, 0)}
    assert Assignment.objects.filter(state="leased").count() == 6


def test_the_same_key_twenty_times_is_one_ranking():
    task = leased()
    rows = {rank(task, [1, 2, 3, 3]).pk for _ in range(20)}
    assert len(rows) == 1
    assert (Preference.objects.count(), Ranking.objects.count()) == (6, 1)
    with pytest.raises(IdempotencyConflictError):
        rank(task, [1, 2, 3, 4])
    with pytest.raises(AlreadySubmittedError):
        rank(task, [1, 2, 3, 4], "another key")


def test_a_key_that_was_used_at_this_moment_is_a_conflict_for_every_deed(monkeypatch):
    first = leased()
    rank(first, [1, 2, 3, 4], "used")
    add_prompt(first.project)
    second = ranking_next(first.labeler)
    known, looks = Deed.known, []

    def blind_at_first(deed):
        """As where the other row is committed behind the look for it."""
        looks.append(deed)
        return known(deed) if len(looks) % 2 == 0 else None

    monkeypatch.setattr(Deed, "known", blind_at_first)

    for deed in (
        lambda: rank(second, [1, 2, 3, 4], "used"),
        lambda: ranking_skip(task=second, reason="unclear", idempotency_key="used"),
        lambda: ranking_undo(task=first, idempotency_key="used"),
    ):
        with pytest.raises(IdempotencyConflictError):
            deed()
    assert len(looks) == 6
    assert Ranking.objects.count() == 1
    assert_counts_agree()


def test_bad_input_writes_nothing():
    task = leased()
    with pytest.raises(ValidationError):
        rank(task, [1, None, None, None])
    with pytest.raises(ValidationError):
        ranking_skip(task=task, reason="no reason", idempotency_key="k")
    assert Ranking.objects.count() == 0


def test_after_a_lapse_what_others_finished_is_left_out_and_named():
    task = leased()
    end = task.lease_expires_at
    assert release_expired(end) == 6
    assert ranking_release_expired(end) == 1
    a, b = task.order[0], task.order[2]
    row = Comparison.objects.get(response_a__in=[a, b], response_b__in=[a, b])
    Comparison.objects.exclude(pk=row.pk).update(priority=-1)
    other = lease_next(make_labeler(task.project), count=1)[0]
    assert other.comparison_id == row.pk
    preference_submit(assignment=other, data={"choice": "1"}, idempotency_key="x")
    saved = ranking_saved(rank(task, [1, 2, 3, 4]), task.order)
    assert (saved.written, saved.left_out, saved.pairs_left_out) == (5, [(0, 2)], "A–C")
    assert Comparison.objects.get(pk=row.pk).label_count == 1
    assert_counts_agree()


def test_nothing_left_of_a_lapsed_ranking_is_a_clear_conflict():
    task = leased(3)
    release_expired(task.lease_expires_at)
    for lease in lease_next(make_labeler(task.project), count=3):
        preference_submit(assignment=lease, data={"choice": "1"}, idempotency_key=str(lease.uid))
    with pytest.raises(LeaseLostError):
        rank(task, [1, 2, 3])
    assert Ranking.objects.count() == 0


def test_a_pair_that_the_person_answered_alone_is_not_answered_again():
    project = ranking_project()
    add_prompt(project, 4)
    labeler = make_labeler(project)
    first = lease_next(labeler, count=1)[0]
    preference_submit(assignment=first, data={"choice": "8"}, idempotency_key="pair")
    task = ranking_next(labeler)
    rank(task, [1, 2, 3, 4])
    assert Preference.objects.filter(comparison=first.comparison_id).count() == 1
    assert Preference.objects.count() == 6


def test_a_pair_in_hand_on_the_pair_page_is_answered_by_the_ranking():
    project = ranking_project()
    add_prompt(project, 4)
    labeler = make_labeler(project)
    held = lease_next(labeler, count=1)[0]
    rank(ranking_next(labeler), [1, 2, 3, 4])
    assert Preference.objects.count() == 6
    with pytest.raises(AlreadySubmittedError):
        preference_submit(assignment=held, data={"choice": "1"}, idempotency_key="pair")


def test_gold_and_batches_are_not_for_rankings():
    project = ranking_project()
    pairs = add_prompt(project, 4)
    Comparison.objects.filter(pk=pairs[0].pk).update(use="gold", gold_outcome="a")
    task = ranking_next(make_labeler(project))
    rank(task, [1, 2, 3, 4])
    assert len(said(task)) == 5
    assert not Preference.objects.filter(comparison=pairs[0]).exists()


def test_what_is_said_after_a_reveal_is_marked():
    task = leased()
    shown = Comparison.objects.order_by("pk").first()
    Reveal.objects.create(user=task.labeler.user, comparison=shown)
    rank(task, [1, 2, 3, 4])
    responses = {shown.response_a_id, shown.response_b_id}
    for row in Preference.objects.select_related("comparison"):
        touched = {row.comparison.response_a_id, row.comparison.response_b_id} & responses
        assert row.after_reveal == bool(touched)


def test_rankings_are_looked_for_from_the_bookmark_on_and_what_came_free_before_it_is_found():
    project = ranking_project()
    high, middle, low = (add_prompt(project, 3, priority=number)[0].prompt_id for number in (3, 2, 1))
    one, other = make_labeler(project), make_labeler(project)
    lapses = ranking_next(other)
    task = ranking_next(one)
    assert (lapses.prompt_id, task.prompt_id) == (high, middle)
    one.refresh_from_db()
    assert (one.passed_priority, one.passed_id) == (1.0, 0)
    rank(task, [1, 2, 3])
    Labeler.objects.filter(pk=one.pk).update(passed_priority=0.5)
    assert ranking_next(one) is None  # not even read
    one.refresh_from_db()
    assert (one.passed_priority, one.passed_id) == THE_END
    bookmarks_void(project.pk)
    rank(ranking_next(one), [1, 2, 3], key="k2")
    assert ranking_next(one) is None
    release_expired(lapses.lease_expires_at)
    assert ranking_next(one).prompt_id == high
    assert set(Ranking.objects.values_list("prompt_id", flat=True)) == {middle, low}


# --- leases, drafts
def test_a_lapsed_ranking_is_leased_again_with_its_draft():
    task = leased()
    draft = {"places": [2, 1, None, None], "rationale": "so far"}
    assert ranking_draft_save(task=task, draft=draft)
    release_expired(task.lease_expires_at)
    assert ranking_renew(task) is False
    again = ranking_next(task.labeler)
    assert (again.pk, again.draft, again.state) == (task.pk, draft, "leased")
    assert ranking_renew(again) is True
    rank(again, [2, 1, 3, 4])
    assert ranking_draft_save(task=again, draft={}) is False


def test_a_lapsed_ranking_of_other_responses_is_another_task():
    """Places from a page of the old one would be read as places of the new one's responses."""
    task = leased()
    release_expired(task.lease_expires_at)
    ranking_renew(task)
    gone = task.order[0]
    Comparison.objects.filter(Q(response_a=gone) | Q(response_b=gone)).update(open_slots=0)
    again = ranking_next(task.labeler)
    assert again.order == task.order[1:]
    assert again.uid != task.uid


def test_a_half_spent_lease_is_renewed_with_its_pairs():
    task = leased()
    soon = timezone.now() + timedelta(seconds=5)
    RankingTask.objects.update(lease_expires_at=soon)
    Assignment.objects.update(lease_expires_at=soon)
    assert ranking_next(task.labeler).lease_expires_at > soon
    assert not Assignment.objects.filter(lease_expires_at=soon).exists()


# --- undo, skip
def test_undo_withdraws_every_pair_and_it_can_be_ranked_anew():
    task = leased()
    rank(task, [1, 2, 3, None])
    undone = ranking_undo(task=task, idempotency_key="u")
    assert undone.state == "leased"
    assert said(task) == {}
    assert counts(resolution__isnull=False) == set()
    assert {row[1] for row in counts()} == {0}
    assert_counts_agree()
    ranking_undo(task=task, idempotency_key="u")
    ranking_undo(task=task, idempotency_key="u2")
    assert Preference.objects.filter(outcome="withdrawn").count() == 3
    again = ranking_next(task.labeler)
    assert again.draft["places"] == [1, 2, 3, None]
    rank(again, [4, 3, 2, 1], "k2")
    assert said(task)[0, 1] == "<"
    assert list(Ranking.objects.values_list("revision", flat=True)) == [1, 2, 3]
    assert_counts_agree()


def test_undo_comes_too_late_after_its_time():
    task = leased()
    rank(task, [1, 2, 3, 4])
    with pytest.raises(UndoRefusedError):
        ranking_undo(task=task, idempotency_key="u", now=timezone.now() + timedelta(seconds=16))
    assert len(said(task)) == 6


def test_a_pair_whose_mind_was_changed_since_stays():
    task = leased()
    rank(task, [1, 2, 3, 4])
    lease = Assignment.objects.order_by("pk").first()
    preference_submit(assignment=lease, data={"choice": "tie"}, idempotency_key="c", is_change=True)
    ranking_undo(task=task, idempotency_key="u")
    assert list(said(task).values()) == ["="]
    assert_counts_agree()


def test_a_skip_counts_on_every_pair_and_undo_takes_it_back():
    project = ranking_project(skip_limit=1)
    add_prompt(project, 3)
    task = ranking_next(make_labeler(project))
    ranking_skip(task=task, reason="expertise", idempotency_key="s")
    ranking_skip(task=task, reason="expertise", idempotency_key="s")
    assert counts() == {("review", 0, 1, 1)}
    assert set(Preference.objects.values_list("outcome", "skip_reason")) == {("skip", "expertise")}
    assert ranking_next(task.labeler) is None
    assert last_ranking(task.labeler).is_skip
    ranking_undo(task=task, idempotency_key="u")
    assert counts() == {("open", 0, 0, 0)}
    rank(task, [1, 1, 1])
    assert set(said(task).values()) == {"="}
    assert_counts_agree()


def test_last_ranking_says_what_was_written():
    task = leased()
    assert last_ranking(task.labeler) is None
    rank(task, [2, 1, 2, None])
    last = last_ranking(task.labeler)
    assert (last.saved.order, last.saved.unsaid, last.saved.written) == ("B > A = C", "D", 3)
    assert 8 <= last.undo_s <= 10
    ranking_undo(task=task, idempotency_key="u")
    assert last_ranking(task.labeler) is None


def test_a_ranking_of_eight_costs_no_more_statements_than_one_of_three(django_assert_max_num_queries):
    for count in (3, 8):
        task = leased(count)
        with django_assert_max_num_queries(38):
            rank(task, list(range(1, count + 1)), data={})
        assert Preference.objects.filter(labeler=task.labeler).count() == count * (count - 1) / 2
