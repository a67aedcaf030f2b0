"""Invariant 1: a preference is never updated; the database itself refuses, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from labeling.models import Preference
from tests.labeling.resolution.builders import make_comparison, make_labeler, make_project, make_prompt, vote

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
