"""Query budgets: a page costs the same number of queries with 3 rows in every list as with 40."""

from __future__ import annotations

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.house.filled import Filled, filled_project
from tests.house.routes import routes
from tests.house.tables import merged
from tests.house.test_access_matrix import client_of, report
from webapp.caches import page_cache

FEW, MANY = 3, 40
LISTS = merged("LISTS")
# Every page that a GET opens to a manager.
PAGES = [route.path for route in routes() if route.is_ours and route.rules.get("GET", "own") != "own"]
# Redirects: to the newest snapshot's page, and of a member who opens an invitation.
NOT_MEASURED = {"projects/<slug:slug>/export/", "invitations/<str:token>/"}


def queries_of(client: Client, url: str) -> list[str]:
    """The second visit's queries: the first one fills the caches that later visitors find filled."""
    assert client.get(url).status_code == 200, url
    with CaptureQueriesContext(connection) as captured:
        response = client.get(url)
        if response.streaming:
            b"".join(response.streaming_content)
    return [query["sql"] for query in captured if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]


def measured(project: Filled) -> dict[str, list[str]]:
    """Route -> the queries of a visit."""
    page_cache.clear()
    client = client_of(project.team.manager)
    return {path: queries_of(client, project.url(path)) for path in PAGES if path not in NOT_MEASURED}


def test_every_page_costs_the_same_with_few_rows_and_with_many(db):
    one = filled_project("few", rows=FEW)
    few = measured(one)
    other = filled_project("many", rows=MANY)
    many = measured(other)
    wrong = []
    for path in many:
        if len(many[path]) != len(few[path]) and "<slug:slug>" in path:
            # A cache may have run out between two visits of one, on a busy machine: both once more.
            few[path], many[path] = (
                queries_of(client_of(filled.team.manager), filled.url(path)) for filled in (one, other)
            )
        queries = many[path]
        if len(queries) != len(few[path]):
            most = max(queries, key=queries.count)
            wrong.append(
                f"{path}: {len(few[path])} and {len(queries)}; {queries.count(most)} times {most[:300]}"
            )
    report(wrong)
    found = {path: len(many[path]) for path in LISTS}
    assert found == LISTS


def test_every_list_endpoint_has_a_budget():
    """A route of REST that pages by cursor, or a page with a list, is named above."""
    plural = {
        path for path in PAGES if path.startswith("api/v1/") and path.endswith("s") and "<int" not in path
    }
    alone = {"api/v1/projects/<slug:slug>/imports/<uuid:uid>/problems"}
    assert plural - alone - set(LISTS) == set()


def test_a_list_in_the_project_is_as_long_as_it_was_filled(db):
    """The measured lists do hold rows: an empty list would cost the same whatever it does with a row."""
    filled = filled_project("many", rows=MANY)
    client, short = client_of(filled.team.manager), []
    for path in LISTS:
        if path.startswith("api/v1/projects/<slug:slug>/"):
            found = len(client.get(filled.url(path)).json()["results"])
            if found < MANY:
                short.append(f"{path}: {found}")
    report(short)
