"""Invariant 3 over the whole site: what a labeler can open shows nothing hidden, before the vote or after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.http import HttpResponseBase
from django.test import Client

from labeling.models import Assignment
from labeling.services.allocation import lease_next
from tests.house.filled import Filled, filled_project
from tests.house.routes import routes
from tests.house.test_access_matrix import ask, client_of, report
from tests.house.test_tokens import header

PANELS = (
    "projects/<slug:slug>/comparisons/<int:pk>/judges/",
    "projects/<slug:slug>/panels/comparisons/<int:pk>/",
)
READING = ("GET", "HEAD", "OPTIONS")


@pytest.fixture
def world(db) -> Filled:
    return filled_project("mine")


def everything_sent(response: HttpResponseBase) -> str:
    """Body, status line, headers and cookies."""
    content = b"".join(response.streaming_content) if response.streaming else response.content
    parts = [content.decode(errors="replace"), response.reason_phrase, *map(str, response.cookies.values())]
    return "\n".join(parts + [f"{name}: {value}" for name, value in response.headers.items()])


def leaks(world: Filled, response: HttpResponseBase, where: str) -> list[str]:
    """What the answer tells. An error page may repeat the address that was asked for."""
    sent = everything_sent(response).replace(response.wsgi_request.path, "")
    return [f"{where} ({response.status_code}): {what}" for what in world.words.found_in(sent)]


def visits(world: Filled, client: Client, **headers: str) -> Iterator[tuple[str, HttpResponseBase]]:
    """Every address in every way to read it, plain and as a fragment, with a few settings of the panels."""
    for route in routes():
        url = world.url(route.path)
        for method in READING:
            kinds = [{}] if route.is_rest else [{}, {"HX-Request": "true"}]
            for extra in kinds:
                name = f"{method} {route.path} {' '.join(extra)}"
                yield name, getattr(client, method.lower())(url, headers={**headers, **extra})
        for method in route.rules:
            if method != "GET" and not route.path.startswith("account/"):
                yield f"{method} {route.path}", ask(client, method, url, **headers)


def test_the_canaries_are_where_a_manager_can_see_them(world):
    """The search finds what is there: without this, the other tests might look for words that nobody stored."""
    seen = set()
    for route in routes():
        if route.is_ours and "GET" in route.rules:
            seen |= set(
                world.words.found_in(
                    everything_sent(client_of(world.team.manager).get(world.url(route.path)))
                )
            )
    hidden_even_from_managers = {"content hash", "another's draft", "another's assignment", "hash of a file"}
    expected = {
        "model of a response", "another's rationale", "name of another labeler", "verdict text", "judge name",
        "score", "priority reason", "group", "topic", "endpoint name", "model hash", "code version", "job title",
        "job log", "file name", "e-mail of an invitation", "another's preference", "verdict probability",
        "the name of the reviewer", "rubric", "snapshot hash", "training error",
    }  # fmt: skip
    assert expected - seen == set()
    assert not seen & hidden_even_from_managers - {"content hash", "hash of a file"}


@pytest.mark.parametrize("how", ["session", "token"])
def test_a_labeler_finds_no_canary_anywhere_before_the_vote(world, how):
    client, headers = client_of(world.team.labeler), {}
    if how == "token":
        client, headers = Client(), header(world.team.labeler, "read", "label", "write", "score")
    found, opened = [], 0
    for where, response in visits(world, client, **headers):
        opened += response.status_code == 200
        found += leaks(world, response, where)
    assert opened > 20
    report(found)


def vote(client: Client, world: Filled, lease: Assignment) -> HttpResponseBase:
    url = f"/projects/{world.slug}/label/{lease.uid}/submit"
    return client.post(url, {"choice": "2", "rationale": "mine"}, headers={"Accept": "application/json"})


@pytest.mark.parametrize("is_revealed", [True, False], ids=["revealed", "not revealed"])
def test_after_the_vote_verdict_and_score_are_shown_only_where_the_project_says_so(world, is_revealed):
    project = world.team.project
    project.reveal_after_vote = is_revealed
    project.save()
    client, lease = client_of(world.team.labeler), world.lease
    for path in PANELS:
        assert client.get(world.url(path)).status_code == 404, "before the vote"
    saved = vote(client, world, lease)
    assert saved.status_code == 200
    assert leaks(world, saved, "the answer to the vote") == []
    page = client.get(f"/projects/{world.slug}/label/").content.decode()
    judges, model = (client.get(world.url(path), {"left": "a"}) for path in PANELS)
    if not is_revealed:
        assert (judges.status_code, model.status_code) == (404, 404)
        assert "/judges/?left=" not in page
        assert "/panels/comparisons/" not in page
        return
    assert world.words.found_in(judges.content.decode()) == ["judge name", "verdict probability"]
    # exp(2·2.718)/(1 + exp(2·2.718)) = 0.9957 for response a
    assert "1.00" in model.content.decode()
    assert world.words.found_in(everything_sent(model)) == []
    assert "/judges/?left=" in page
    assert "/panels/comparisons/" in page


def test_after_the_vote_nothing_else_opens(world):
    """Neither another comparison, nor another's vote, nor a page of the project."""
    client = client_of(world.team.labeler)
    assert vote(client, world, world.lease).status_code == 200
    for comparison in world.comparisons:
        if comparison.pk != world.lease.comparison_id:
            for path in ("comparisons/{}/judges/", "panels/comparisons/{}/", "comparisons/{}/"):
                url = f"/projects/{world.slug}/{path.format(comparison.pk)}"
                assert client.get(url).status_code in (403, 404), url
    found = []
    for where, response in visits(world, client):
        if not any(path in where for path in PANELS):
            found += leaks(world, response, where)
    report(found)


def test_an_undone_vote_closes_the_panels_again(world):
    client = client_of(world.team.labeler)
    assert vote(client, world, world.lease).status_code == 200
    assert [client.get(world.url(path)).status_code for path in PANELS] == [200, 200]
    undo = f"/projects/{world.slug}/label/{world.lease.uid}/undo"
    assert client.post(undo, headers={"Accept": "application/json"}).status_code == 200
    assert [client.get(world.url(path)).status_code for path in PANELS] == [404, 404]


def test_a_skip_is_no_vote(world):
    client = client_of(world.team.labeler)
    url = f"/projects/{world.slug}/label/{world.lease.uid}/submit"
    data = {"choice": "skip", "skip_reason": "unclear"}
    response = client.post(url, data, headers={"Accept": "application/json"})
    assert leaks(world, response, "skip") == []
    assert [client.get(world.url(path)).status_code for path in PANELS] == [404, 404]


def test_the_order_of_the_queue_does_not_name_the_priority(world):
    """A labeler's second lease, drawn after the first, comes with no more than the first."""
    labeler = world.lease.labeler
    assert len(lease_next(labeler, count=2)) == 2
    response = client_of(world.team.labeler).post(f"/api/v1/projects/{world.slug}/comparisons/next")
    assert response.status_code == 200
    assert len(response.json()["results"]) == 2
    assert leaks(world, response, "next") == []
