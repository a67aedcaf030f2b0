"""The queue of disagreements follows votes, voices and settlements, and writes what differs alone."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.models import AssignmentState, Comparison, Disagreement, Voice
from labeling.services.preferences import preference_submit, preference_undo
from labeling.services.resolution import resolve_comparisons
from labeling.services.review import disagreements_refresh
from labeling.services.voices import VoiceRow, voices_drop, voices_publish
from tests.labeling.label.factories import make_project
from tests.labeling.review.factories import answer, answers, kinds, make_labeler, voice

pytestmark = pytest.mark.django_db


def only(project) -> Comparison:
    return Comparison.objects.get(project=project)


def test_two_people_who_differ_bring_a_row_and_a_change_of_mind_takes_it_away():
    project = make_project(1, overlap=2)
    _first, second = answers(project, "2", "7")
    comparison = only(project)
    assert kinds(comparison) == {"people": 1.0}
    lease = second.assignments.get()
    mind = "7" if lease.swapped else "2"
    preference_submit(assignment=lease, data={"choice": mind}, idempotency_key="mind", is_change=True)
    assert kinds(comparison) == {}
    assert Disagreement.objects.count() == 0


@pytest.mark.parametrize(
    ("choice", "scheme"), [("1", {}), ("6", {}), ("tie", {}), ("both_bad", {"allow_both_bad": True})]
)
def test_a_first_vote_alone_leaves_nothing_to_settle(choice, scheme):
    project = make_project(1, overlap=2)
    project.scheme |= {"allow_tie": True, **scheme}
    project.save()
    answers(project, choice)
    comparison = only(project)
    assert comparison.resolution.votes_a + comparison.resolution.votes_b == choice.isdigit()
    assert (resolve_comparisons([comparison.pk]), disagreements_refresh([comparison.pk])) == (set(), 0)


def test_an_undone_vote_is_no_voice():
    project = make_project(1, overlap=2)
    _first, second = answers(project, "2", "7")
    preference_undo(assignment=second.assignments.get(), idempotency_key="undo")
    assert kinds(only(project)) == {}


def test_judges_and_the_model_join_and_leave():
    project = make_project(1)
    answers(project, "1")
    comparison = only(project)
    assert voice(comparison, "b", 0.2) == 1
    assert voice(comparison, "b", 0.4, source="champion") == 1
    assert voice(comparison, "a", 0.9, source="j2") == 1
    assert kinds(comparison) == {"judge": 0.8, "model": 0.6, "judges": 0.7}
    # Asked again, the judge says otherwise.
    assert voice(comparison, "a", 0.7) == 1
    assert kinds(comparison) == {"model": 0.6}
    assert voices_drop(project=project, kind="model", source="champion") == 1
    assert kinds(comparison) == {}


def test_voices_that_came_before_the_votes_count_as_soon_as_there_is_one():
    project = make_project(1)
    voice(only(project), "b", 0.25)
    assert kinds(only(project)) == {}
    answers(project, "1")
    assert kinds(only(project)) == {"judge": 0.75}


def test_a_comparison_that_is_skipped_too_often_waits_for_review():
    project = make_project(1, skip_limit=2, overlap=3)
    for _ in range(2):
        answer(make_labeler(project), "", skip_reason="unclear")
    assert only(project).state == "review"
    assert kinds(only(project)) == {"skipped": 1.0}


def test_refreshing_again_changes_nothing_and_reads_twice():
    project = make_project(2, overlap=2)
    answers(project, "2", "7")
    voice(Comparison.objects.filter(project=project).first(), "b", 0.1)
    ids = list(Comparison.objects.values_list("pk", flat=True))
    before = list(Disagreement.objects.order_by("pk").values())
    with CaptureQueriesContext(connection) as captured:
        assert disagreements_refresh(ids) == 0
    assert len(captured) == 2
    assert list(Disagreement.objects.order_by("pk").values()) == before


def test_publishing_the_same_again_writes_nothing():
    project = make_project(3)
    rows = [VoiceRow(pk, "a", 0.8, 1.0, -0.5) for pk in Comparison.objects.values_list("pk", flat=True)]
    assert voices_publish(project=project, kind="model", source="champion", name="v1", rows=rows) == 3
    stamps = list(Voice.objects.order_by("pk").values_list("pk", "updated_at"))
    assert voices_publish(project=project, kind="model", source="champion", name="v1", rows=rows) == 0
    assert list(Voice.objects.order_by("pk").values_list("pk", "updated_at")) == stamps


def test_a_new_champion_replaces_row_by_row_and_what_it_lacks_goes():
    project = make_project(2)
    first, second = Comparison.objects.filter(project=project).order_by("pk")
    for pair in (first, second):
        voice(pair, "b", 0.1, source="champion")
    voices_publish(
        project=project, kind="model", source="champion", name="v2", rows=[VoiceRow(first.pk, "a", 0.9)]
    )
    assert voices_drop(project=project, kind="model", source="champion", keep_name="v2") == 1
    assert list(Voice.objects.values_list("comparison_id", "name", "outcome")) == [(first.pk, "v2", "a")]


def test_voices_on_another_projects_comparisons_are_left_out():
    project, other = make_project(1), make_project(1)
    rows = [VoiceRow(only(other).pk, "a", 0.9), VoiceRow(10**9, "a", 0.9)]
    assert voices_publish(project=project, kind="judge", source="j", name="J", rows=rows) == 0
    assert Voice.objects.count() == 0


def test_a_vote_costs_the_queue_one_statement_where_nothing_differs_and_a_first_one_none():
    project = make_project(1, overlap=3)
    for statements in (0, 1):
        person = make_labeler(project)
        with CaptureQueriesContext(connection) as captured:
            answer(person, "1")
        # What an answer asks beforehand tells, too, whether there is a queue to think of.
        said = [row["sql"] for row in captured if not row["sql"].startswith('SELECT "labeling_assignment"')]
        queue = [sql for sql in said if "labeling_disagreement" in sql or "labeling_voice" in sql]
        assert len(queue) == statements
        assert all(sql.startswith("SELECT") for sql in queue)
        assert person.assignments.get().state == AssignmentState.SUBMITTED


def test_the_migration_finds_what_was_there_before_the_queue():
    project = make_project(3, overlap=3, skip_limit=2)
    answers(project, "2", "7", "2")
    answers(project, "2", "2", "2")
    for _ in range(2):
        answer(make_labeler(project), "", skip_reason="unclear")
    pairs = list(Comparison.objects.filter(project=project).order_by("pk"))
    expected = [kinds(pair) for pair in pairs]
    assert expected == [{"people": 0.666667}, {}, {"skipped": 1.0}]
    Disagreement.objects.all().delete()
    with connection.cursor() as cursor:
        for statement in import_module("labeling.migrations.0007_review").BACKFILL:
            cursor.execute(statement)
    assert [kinds(pair) for pair in pairs] == expected
