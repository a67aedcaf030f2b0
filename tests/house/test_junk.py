"""Nonsense from outside: no parameter reaches a secret field, and none of them breaks a page."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tests.house.filled import Filled, filled_project
from tests.house.routes import routes
from tests.house.tables import merged
from tests.house.test_access_matrix import ask, client_of, report
from tests.house.test_tokens import rest_routes

JUNK = (
    "",
    "x",
    "-1",
    "0",
    "²",  # a digit to str.isdigit, and no number to int
    "٣",
    "1e999",
    "nan",
    "9" * 30,
    "\x00",
    "a\x00b",
    "\ud800".encode("utf-8", "surrogatepass"),
    "é" * 5000,
    "cD0tMQ==",  # a cursor that names no row
    "bz05OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTkmcD0x",
    "00000000-0000-0000-0000-00000000000g",
    "../../etc/passwd",
    "' OR 1=1 --",
)
# Parameters that are tried everywhere with some of it, beside the own ones of each list.
COMMON = ("page", "cursor", "page_size", "before", "after", "q", "next")
TRIED_EVERYWHERE = {"", "-1", "a\x00b", "9" * 30, "cD0tMQ=="}
PARAMETERS = merged("PARAMETERS")
# Ways to fields that no filter may reach, if a view handed its query over to the ORM.
SECRET = (
    "password__startswith",
    "user__password__startswith",
    "created_by__password__startswith",
    "labeler__user__password__startswith",
    "project__created_by__password__startswith",
    "project__memberships__user__password__startswith",
    "response_a__model_name__startswith",
    "judge_version__endpoint__api_key_encrypted__startswith",
    "params__contains",
    "ordering",
    "order_by",
    "fields",
)
# What repeats the address or is new on every page: hidden fields and links.
MOVING = re.compile(r'(value|href|hx-get)="[^"]*"|"(next|previous)":"[^"]*"')


@pytest.fixture
def world(db) -> Filled:
    return filled_project("mine")


def test_no_parameter_filters_by_a_field_that_is_not_allow_listed(world):
    client, wrong = client_of(world.team.manager), []
    for path in PARAMETERS:
        url = world.url(path)
        plain = MOVING.sub("", _text(client.get(url)))
        for name in SECRET:
            response = client.get(url, {name: "zz"})
            if response.status_code != 400 and MOVING.sub("", _text(response)) != plain:
                wrong.append(f"{path}?{name}=")
    report(wrong)


def _text(response) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return content.decode("utf-8", "replace")


@pytest.mark.parametrize("value", JUNK, ids=lambda value: ascii(value)[:40])
def test_no_junk_in_the_query_breaks_a_page(world, value):
    client, wrong = client_of(world.team.manager), []
    for path, own in PARAMETERS.items():
        url = world.url(path)
        for name in {*(COMMON if value in TRIED_EVERYWHERE else ()), *own}:
            status = client.get(url, {name: value}).status_code
            if status >= 500:
                wrong.append(f"{path}?{name}=: {status}")
    report(wrong)


@pytest.mark.parametrize("value", ["0", "9" * 30], ids=["zero", "huge"])
def test_no_number_in_the_address_breaks_a_page(world, value):
    client, wrong = client_of(world.team.manager), []
    for route in routes():
        for part in ("<int:pk>", "<int:number>"):
            if part in route.path:
                # The other ids stay good, so that the odd one is reached.
                url = world.url(route.path.replace(part, value))
                for method in route.rules:
                    status = ask(client, method, url).status_code
                    if status != 404:
                        wrong.append(f"{method} {url}: {status}")
    report(wrong)


BODIES = (
    "",
    "{",
    "null",
    "[]",
    "7",
    '"x"',
    '{"name": []}',
    '{"name": "a\\u0000b", "slug": "a\\u0000b"}',
    '{"\\ud800": "\\ud800"}',
)


@pytest.mark.parametrize("body", BODIES)
def test_no_body_breaks_rest(world, body):
    manager, labeler, wrong = client_of(world.team.manager), client_of(world.team.labeler), []
    for route in rest_routes():
        for method, needed in route.rules.items():
            if method != "GET":
                client: Client = labeler if needed == "own" else manager
                status = ask(client, method, world.url(route.path), body=body).status_code
                if status >= 500:
                    wrong.append(f"{method} {route.path}: {status}")
    report(wrong)


# Every field of a form or of a JSON body that a service reads, filled with something that fits no field.
FIELDS = (
    "name", "slug", "description", "guidelines", "overlap", "random_share", "lease_s", "email", "role", "engine",
    "endpoint", "model", "base_url", "api_key", "rubric", "pattern", "language", "temperature", "kind", "config",
    "snapshot", "seed", "min_labels", "cron", "every_n_labels", "judge", "version", "selection", "choice",
    "rationale", "aspects", "reasons", "skip_reason", "duration_ms", "draft", "key", "idempotency_key", "uid",
    "group_key", "labeler", "title", "scopes", "days", "display_name", "limit", "heads", "base", "file",
)  # fmt: skip


@pytest.mark.parametrize(
    "value", ["a\x00b", "9" * 30, "-1", "²", "x" * 100_000], ids=["nul", "huge", "minus", "digit", "long"]
)
def test_no_form_breaks_a_page(world, value):
    manager, labeler, wrong = client_of(world.team.manager), client_of(world.team.labeler), []
    for route in routes():
        if route.is_ours and not route.is_rest and "POST" in route.rules:
            client = labeler if route.rules["POST"] == "own" else manager
            status = ask(client, "POST", world.url(route.path), body=dict.fromkeys(FIELDS, value)).status_code
            if status >= 500:
                wrong.append(f"{route.path}: {status}")
    report(wrong)
