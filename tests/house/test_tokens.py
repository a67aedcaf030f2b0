"""Tokens: a read token reads, a write token writes, a label token labels and does nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from tests.house.filled import Filled, filled_project
from tests.house.routes import Route, routes
from tests.house.test_access_matrix import ask, report
from webapp.users.models import User
from webapp.users.services import token_create

SCOPES = ("read", "label", "write", "score")


@pytest.fixture
def world(db) -> Filled:
    return filled_project("mine")


def rest_routes() -> list[Route]:
    return [route for route in routes() if route.is_rest]


def header(user: User, *scopes: str, expiry: timedelta = timedelta(hours=1)) -> dict[str, str]:
    _token, text = token_create(user=user, name="machine", scopes=scopes, expiry=expiry)
    return {"Authorization": f"Bearer {text}"}


def scope_needed(method: str, needed: str) -> str:
    if method == "GET":
        return "read"
    return "label" if needed in ("own", "label") else "write"


@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_does_what_its_scope_names_and_nothing_else(world, scope):
    """For the person who may do everything on that route; a refusal is then the token's own."""
    client, wrong = Client(raise_request_exception=False), []
    headers = {person: header(getattr(world.team, person), scope) for person in ("manager", "labeler")}
    for route in rest_routes():
        for method, needed in route.rules.items():
            who = "labeler" if needed == "own" else "manager"
            status = ask(client, method, world.url(route.path), **headers[who]).status_code
            may = scope_needed(method, needed) == scope
            if status >= 500 or (status in (401, 403)) == may:
                wrong.append(f"{method} {route.path}: {status} with scope {scope}")
    report(wrong)


@pytest.mark.parametrize("kind", ["expired", "revoked", "invented", "of a deactivated account"])
def test_a_token_that_no_longer_counts_is_a_401_everywhere(world, kind):
    user = world.team.manager
    expiry = timedelta(seconds=-1) if kind == "expired" else timedelta(hours=1)
    headers = header(user, *SCOPES, expiry=expiry)
    if kind == "revoked":
        user.auth_token_set.all().delete()
    elif kind == "invented":
        headers = {"Authorization": "Bearer chosen_" + "a" * 57}
    elif kind == "of a deactivated account":
        User.objects.filter(pk=user.pk).update(is_active=False)
    client, wrong = Client(raise_request_exception=False), []
    for route in rest_routes():
        for method in route.rules:
            status = ask(client, method, world.url(route.path), **headers).status_code
            if status != 401:
                wrong.append(f"{method} {route.path}: {status}")
    report(wrong)


def test_a_token_opens_no_page(world):
    client, headers = Client(), header(world.team.manager, *SCOPES)
    for path in ("", "projects/<slug:slug>/", "projects/<slug:slug>/models/", "account/tokens/", "jobs/"):
        assert "/account/login/" in client.get(world.url(path), headers=headers).headers["Location"], path


def test_a_token_reaches_no_further_than_its_person(world):
    client, headers = Client(), header(world.team.stranger, *SCOPES)
    for route in rest_routes():
        for method, needed in route.rules.items():
            if needed not in ("login", "starter"):
                assert ask(client, method, world.url(route.path), **headers).status_code == 404, route.path


def test_only_the_hash_of_a_token_is_stored(world):
    token, text = token_create(
        user=world.team.manager, name="machine", scopes=["read"], expiry=timedelta(hours=1)
    )
    stored = [str(value) for value in vars(type(token).objects.get(pk=token.pk)).values()]
    assert not [value for value in stored if text in value]
    assert all(len(value) < len(text) for value in stored if value and value in text)
