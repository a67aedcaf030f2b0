"""How many comparisons there are: one count for every page, kept while counting again would be dear."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.models import Comparison, Role
from labeling.selectors import figures
from labeling.selectors.label import settled_counts
from labeling.selectors.progress import Counts, comparison_counts, project_progress
from tests.factories import make_comparison, make_member, make_project
from webapp.caches import page_cache

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty_cache():
    page_cache.clear()


@pytest.fixture
def project():
    project = make_project()
    for state in ("open", "open", "done", "review", "retired"):
        make_comparison(project, state=state)
    make_comparison(project, use="gold", gold_outcome="a")
    make_comparison(project, use="qualification", gold_outcome="a", state="retired")
    return project


def test_checks_are_in_no_count_and_retired_ones_not_in_the_total(project):
    assert comparison_counts([project.pk]) == {project.pk: Counts(4, 2, 1, 1, 1)}
    progress = project_progress(project)
    assert (progress.total, progress.open, progress.done, progress.review, progress.retired) == (
        4,
        2,
        1,
        1,
        1,
    )
    assert settled_counts(project).percent == 25


def test_an_empty_project_and_many_projects_cost_two_queries(project, django_assert_num_queries):
    others = [make_project() for _number in range(3)]
    with django_assert_num_queries(2):
        found = comparison_counts([project.pk, *(other.pk for other in others)])
    assert found[others[0].pk] == Counts()
    assert found[project.pk].total == 4


def test_cheap_counts_are_counted_anew_and_those_of_the_label_page_are_kept(project):
    assert settled_counts(project).total == 4
    make_comparison(project)
    assert settled_counts(project).total == 4
    assert comparison_counts([project.pk])[project.pk].total == 5
    assert settled_counts(project).total == 5  # what another page has counted is as good


def test_dear_counts_are_kept_on_every_page(project, client, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(figures, "CHEAP_COUNT_S", 0)
    monkeypatch.setattr(figures, "AGE_FACTOR", 1e9)
    before = project_progress(project)
    make_comparison(project)
    with django_assert_num_queries(0):
        assert project_progress(project) == before
    client.force_login(make_member(project, Role.MANAGER))
    url = reverse("labeling:project", args=[project.slug])
    assert "<strong>4</strong>" in client.get(url).content.decode()
    page_cache.clear()
    assert "<strong>5</strong>" in client.get(url).content.decode()


def test_no_page_counts_comparisons_by_their_use(project, client):
    """An aggregate over `use` reads every row: no index has both. The two counts read one index each."""
    client.force_login(make_member(project, Role.MANAGER))
    table = Comparison._meta.db_table
    for name, args in (
        ("labeling:home", []),
        ("labeling:project", [project.slug]),
        ("labeling:snapshot-list", [project.slug]),
        ("labeling:snapshot-new", [project.slug]),
    ):
        page_cache.clear()
        with CaptureQueriesContext(connection) as queries:
            assert client.get(reverse(name, args=args)).status_code == 200
        counts = [
            query["sql"]
            for query in queries
            if f'FROM "{table}"' in query["sql"] and "COUNT(" in query["sql"]
        ]
        assert len([sql for sql in counts if "FILTER" in sql]) == 0, counts
        assert len([sql for sql in counts if "GROUP BY" in sql]) == 2, counts
