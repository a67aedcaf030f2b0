"""Invariant 1: a preference is never updated, nor a ranking, nor an adjudication.

The database itself refuses, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.utils import timezone

from labeling.models import Adjudication, ItemDeed, Preference, Ranking, Role
from tests.labeling.resolution.builders import (
    make_comparison,
    make_labeler,
    make_project,
    make_prompt,
    make_user,
    vote,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def preference():
    project = make_project()
    return vote(make_comparison(make_prompt(project)), make_labeler(project), "a")


def refused(change) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        change()


def test_the_orm_cannot_update_one(preference):
    preference.outcome = "b"
    refused(preference.save)
    refused(lambda: Preference.objects.filter(pk=preference.pk).update(rationale="never said"))
    assert Preference.objects.get().outcome == "a"


def test_plain_sql_cannot_either(preference):
    def update():
        with connection.cursor() as cursor:
            cursor.execute("UPDATE labeling_preference SET strength = 4 WHERE id = %s", [preference.pk])

    refused(update)


def test_a_new_revision_is_the_way(preference):
    vote(preference.comparison, preference.labeler, "b")
    assert list(Preference.objects.values_list("revision", "outcome")) == [(1, "a"), (2, "b")]


def test_a_ranking_is_never_changed_either(preference):
    prompt = preference.comparison.prompt
    ranking = Ranking.objects.create(
        project=preference.project,
        prompt=prompt,
        labeler=preference.labeler,
        ranks=[[1], [2]],
        source="web",
        idempotency_key="k",
        request_hash="h",
        created_at=timezone.now(),
    )
    ranking.rationale = "never said"
    refused(ranking.save)
    refused(lambda: Ranking.objects.update(ranks=[[2], [1]]))
    assert Ranking.objects.get().ranks == [[1], [2]]


@pytest.fixture
def adjudication(preference):
    return Adjudication.objects.create(
        project=preference.project,
        comparison=preference.comparison,
        reviewer=make_user(preference.project, Role.REVIEWER),
        outcome="b",
        reason="A answers something else.",
        idempotency_key="k",
        request_hash="h",
    )


def test_no_column_of_an_adjudication_can_be_written_again(adjudication):
    other = make_user()
    for column in Adjudication._meta.concrete_fields:
        if column.name != "reviewer":
            refused(lambda name=column.name: Adjudication.objects.update(**{name: F(name)}))
    refused(lambda: Adjudication.objects.update(reviewer=other))
    refused(adjudication.save)


def test_an_adjudication_outlives_its_reviewers_account(adjudication):
    adjudication.reviewer.delete()
    adjudication.refresh_from_db()
    assert adjudication.reviewer is None
    assert (adjudication.outcome, adjudication.reason) == ("b", "A answers something else.")


def test_a_managers_deed_is_never_written_again_and_outlives_the_account(preference):
    manager = make_user(preference.project, Role.MANAGER)
    deed = ItemDeed.objects.create(comparison=preference.comparison, actor=manager, kind="people", value=2.0)
    for column in ItemDeed._meta.concrete_fields:
        if column.name != "actor":
            refused(lambda name=column.name: ItemDeed.objects.update(**{name: F(name)}))
    manager.delete()
    deed.refresh_from_db()
    assert (deed.actor, deed.kind, deed.value) == (None, "people", 2.0)
