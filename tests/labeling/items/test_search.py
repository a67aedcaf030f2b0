"""The index finds what is there, on both databases, and follows what changes."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from labeling.items.filters import ItemFilter
from labeling.models import ItemFacet, Project, Response, SearchText
from labeling.search.indexing import index_behind, index_chunk, settled_moment
from labeling.search.matching import prompts_matching
from labeling.services.deletion import project_delete
from tests.factories import make_comparison, make_project, make_prompt
from tests.labeling.items.builders import WORDS, found, index_all, mixed_project, read_all, slowly, text_of

pytestmark = pytest.mark.django_db


def test_100_searches_find_what_a_slow_look_finds():
    project, chance = mixed_project(80), random.Random(5)
    other = mixed_project(10, seed=2)
    rows, hits = read_all(project), 0
    for number in range(100):
        q = text_of(chance) if number % 3 else chance.choice(WORDS)
        if number % 5 == 0:
            q = f'"{q}"'
        expected = slowly(project, ItemFilter(q=q), rows)
        assert found(project, ItemFilter(q=q)) == expected, q
        hits += bool(expected)
    assert hits > 30
    assert not set(found(other, ItemFilter(q="化学"))) & set(found(project, ItemFilter(q="化学")))


@pytest.mark.parametrize(
    ("q", "is_there"),
    [
        ("溶解度", True),
        ("解溶", False),
        ("溶", True),
        ("CAFE", True),
        ("caf", False),
        ('"of common salt"', True),
        ('"salt common"', False),
        ('"食盐的溶解度"', True),
        ("salt 溶解度 naive", True),
        ("salt pepper", False),
        ("' OR 1=1 --", False),
        ('NEAR("salt" "water")', False),
        ("\\' & ! | ( ) : *", True),
        ("%", True),
        ("%%%", False),
    ],
)
def test_what_is_typed_is_never_read_as_a_query_language(q, is_there):
    project = make_project()
    make_comparison(
        project,
        prompt=make_prompt(project, "食盐的溶解度 of common salt"),
        texts=("naïve café 100%", "\\' & ! | ( ) : *"),
    )
    index_all(project)
    assert bool(found(project, ItemFilter(q=q))) is is_there


def test_rows_are_checked_one_by_one_where_the_index_finds_many(monkeypatch):
    project = mixed_project(50)
    by_index = {word: found(project, ItemFilter(q=word)) for word in WORDS}
    monkeypatch.setattr("labeling.items.finding.FEW", 0)
    assert {word: found(project, ItemFilter(q=word)) for word in WORDS} == by_index
    assert any(by_index.values())


def test_the_index_follows_new_responses_and_deletions():
    project = make_project()
    comparison = make_comparison(project, texts=("apples", "pears"))
    index_all(project)
    assert found(project, ItemFilter(q="quinces")) == []
    rewrite = make_comparison(project, prompt=comparison.prompt, texts=("quinces", "plums"))
    assert found(project, ItemFilter(q="quinces")) == []
    index_all(project)
    assert found(project, ItemFilter(q="quinces apples")) == [comparison.pk, rewrite.pk]
    Response.objects.filter(text="plums").delete()
    assert found(project, ItemFilter(q="quinces apples")) == [comparison.pk]
    project_delete(project=project)
    assert prompts_matching(None, ("apples",), most=10) == []
    assert not SearchText.objects.exists()
    assert not ItemFacet.objects.exists()


def test_the_walk_goes_on_where_it_was_and_a_second_walker_steps_aside(monkeypatch):
    monkeypatch.setattr("labeling.search.indexing.CHUNK", 3)
    project = make_project()
    ids = [make_comparison(project).pk for _ in range(7)]
    later = timezone.now() + timedelta(days=1)
    stale = Project.objects.get(pk=project.pk)
    assert [index_chunk(project, before=later) for _ in range(4)] == [3, 3, 1, 0]
    project.refresh_from_db()
    assert project.search_cursor == ids[-1]
    # A walker that read the cursor before another moved it writes nothing.
    monkeypatch.setattr(Project, "refresh_from_db", lambda self, fields: None)
    assert index_chunk(stale, before=later) == 0


def test_the_tick_takes_all_projects_that_are_behind(monkeypatch):
    monkeypatch.setattr("labeling.search.indexing.settled_moment", lambda: timezone.now() + timedelta(days=1))
    projects = [mixed.project for mixed in (make_comparison(make_project()), make_comparison(make_project()))]
    make_project()
    assert index_behind() == 2
    assert index_behind() == 0
    assert all(Project.objects.get(pk=project.pk).search_cursor for project in projects)
    make_comparison(projects[0])
    assert index_behind(for_s=0) == 0


@pytest.mark.django_db(transaction=True)
def test_nothing_is_passed_over_that_is_still_being_written():
    """A row with a smaller number may be committed after one with a larger number, on PostgreSQL."""
    if connection.vendor == "sqlite":
        assert settled_moment() > timezone.now()
        return
    project = make_project()
    other = connection.copy()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT txid_current()")
            with other.cursor() as outside:
                outside.execute(
                    "SELECT min(xact_start) FROM pg_stat_activity"
                    " WHERE backend_xid IS NOT NULL AND datname = current_database()"
                )
                (began,) = outside.fetchone()
            # The own transaction does not count, somebody else's does.
            assert settled_moment() > began - timedelta(seconds=5)
        with other.cursor() as outside:
            outside.execute("BEGIN")
            outside.execute("SELECT txid_current()")
            first = settled_moment()
            outside.execute("SELECT pg_sleep(0.3)")
            assert settled_moment() == first
            make_comparison(project)
            assert index_chunk(project) == 0
            outside.execute("ROLLBACK")
    finally:
        other.close()
