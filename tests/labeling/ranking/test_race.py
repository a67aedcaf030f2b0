"""Rankings and pairs at once, on real connections: nothing gets one label too many, and nobody deadlocks."""

from __future__ import annotations

import pytest

from labeling.models import Assignment, Comparison, Preference, Ranking, Resolution
from labeling.services.allocation import lease_next
from labeling.services.bookmark import bookmarks_void
from labeling.services.leases import release_expired
from labeling.services.preferences import preference_submit
from labeling.services.ranking import ranking_next, ranking_renew
from tests.labeling.label.test_race import in_threads, while_it_waits
from tests.labeling.ranking.builders import add_prompt, make_labeler, rank, ranking_project

THREADS = 16
pytestmark = pytest.mark.django_db(transaction=True)


def test_sixteen_people_who_rank_and_compare_the_same_prompts_never_exceed_what_is_needed():
    project = ranking_project(overlap=2)
    for count in (3, 4, 5, 4, 3, 6):
        add_prompt(project, count)
    people = [make_labeler(project) for _ in range(THREADS)]

    def work(number: int) -> None:
        labeler = people[number]
        for turn in range(40):
            task = ranking_next(labeler) if (number + turn) % 2 else None
            if task is not None:
                places = [1 + (number + turn + at) % len(task.order) for at in range(len(task.order))]
                rank(task, places, f"r{turn}")
                continue
            leases = lease_next(labeler, count=1)
            for lease in leases:
                preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key=f"p{turn}")
            if not leases:
                return

    in_threads(work, range(THREADS))
    assert Ranking.objects.exists()
    for row in Comparison.objects.all():
        leases = row.assignments.filter(state="leased").count()
        standing = Preference.objects.filter(comparison=row).values("labeler").distinct().count()
        assert standing == row.label_count <= row.needed
        assert row.open_slots == row.needed - row.label_count - leases
        assert (row.state == "done") == (row.label_count == row.needed)
    assert not Assignment.objects.filter(state="leased", drawn="priority").exists()
    assert Resolution.objects.count() == Comparison.objects.filter(label_count__gt=0).count()


def test_two_tabs_lease_one_ranking():
    project = ranking_project(overlap=3)
    add_prompt(project, 4)
    add_prompt(project, 4)
    labeler = make_labeler(project)
    found = in_threads(lambda _: ranking_next(labeler).pk, range(8))
    assert len(set(found)) == 1
    assert Assignment.objects.count() == 6


def test_a_missing_pair_is_made_once_by_two_rankers_at_once():
    project = ranking_project(overlap=8)
    add_prompt(project, 4, pairs=[(0, 1), (0, 2), (0, 3)])
    tasks = [ranking_next(make_labeler(project)) for _ in range(8)]
    in_threads(lambda number: rank(tasks[number], [1, 2, 3, 4]).pk, range(8))
    assert Comparison.objects.count() == 6
    made = Comparison.objects.filter(needed=1)
    assert set(made.values_list("label_count", "open_slots", "state")) == {(1, 0, "done")}
    assert set(Comparison.objects.filter(needed=8).values_list("label_count", flat=True)) == {8}


def test_the_same_ranking_twenty_times_in_parallel_is_one():
    project = ranking_project()
    add_prompt(project, 4)
    task = ranking_next(make_labeler(project))
    assert len(set(in_threads(lambda _: rank(task, [1, 2, 3, 3]).pk, range(20)))) == 1
    assert (Ranking.objects.count(), Preference.objects.count()) == (1, 6)


def test_of_two_different_rankings_at_once_one_is_told():
    project = ranking_project()
    add_prompt(project, 3)
    task = ranking_next(make_labeler(project))

    def send(number: int) -> str:
        try:
            rank(task, [1, 2, 3] if number else [3, 2, 1], f"k{number}")
        except Exception as error:
            return type(error).__name__
        return "saved"

    assert sorted(in_threads(send, range(2))) == ["AlreadySubmittedError", "saved"]
    assert Ranking.objects.count() == 1


@pytest.mark.postgres
def test_a_pair_ranked_in_one_tab_while_the_other_waits_for_it_is_not_given_there():
    """The draw looked for the person's lease before the ranking had made one."""
    project = ranking_project(overlap=2)
    *_others, free = add_prompt(project, 3)
    labeler = make_labeler(project)
    Comparison.objects.filter(pk=free.pk).update(open_slots=0)
    task = ranking_next(labeler)
    Comparison.objects.filter(pk=free.pk).update(open_slots=2)
    bookmarks_void(project.pk)

    _ranking, leases = while_it_waits(lambda: rank(task, [1, 2, 3]), lambda: lease_next(labeler, count=1))
    assert leases == []
    assert set(Comparison.objects.values_list("label_count", "open_slots")) == {(1, 1)}
    assert set(Assignment.objects.values_list("state", "drawn")) == {("submitted", "ranking")}


@pytest.mark.postgres
def test_a_lapsed_ranking_that_is_given_late_in_one_tab_is_not_leased_again_in_the_other():
    project = ranking_project(overlap=2)
    add_prompt(project, 4)
    labeler = make_labeler(project)
    task = ranking_next(labeler)
    release_expired(task.lease_expires_at)
    ranking_renew(task)

    _ranking, again = while_it_waits(lambda: rank(task, [1, 2, 3, None]), lambda: ranking_next(labeler))
    assert again is None
    task.refresh_from_db()
    assert task.state == "submitted"
    assert Assignment.objects.filter(state="submitted").count() == Preference.objects.count() > 0
    assert not Assignment.objects.filter(state="leased").exists()
