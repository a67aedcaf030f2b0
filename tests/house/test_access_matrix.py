"""Invariant 10: every route × role × method × foreign ids, from the table in `routes.py`."""

from __future__ import annotations

import copy
import re
from collections import Counter

import pytest
from django.contrib import admin
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client

from tests.factories import make_user
from tests.house.filled import Filled, filled_project
from tests.house.routes import METHODS, Route, routes, served_paths
from webapp.users.models import User

MEMBERS = {
    "enter": {"manager", "reviewer", "labeler", "viewer"},
    "view": {"manager", "reviewer", "viewer"},
    "reveal": {"manager", "reviewer", "viewer"},
    "jobs": {"manager", "reviewer", "viewer"},
    "label": {"manager", "reviewer", "labeler"},
    "own": {"labeler"},
    "review": {"manager", "reviewer"},
    "manage": {"manager"},
    "jobs!": {"manager"},
}
# Members who lack the capability get a 403; these two say nothing even to them.
SILENT = {"own", "reveal"}
INSIDERS = ("manager", "reviewer", "labeler", "viewer")
OUTSIDERS = ("stranger", "foreign manager", "operator")
# Everything but "does not exist", "not yours", "not this way" and "broken": the request got to the deed itself.
# What differs from one page to the next whatever it says.
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="\w+"|value="/projects/[^"]*"')
# What is needed to get as far as the question of rights.
BODIES = {"/api/v1/projects": '{"name": "New", "slug": "new"}'}
STOPPED = {401, 403, 404, 405}


@pytest.fixture
def world(db) -> Filled:
    return filled_project("mine")


@pytest.fixture
def other(db) -> Filled:
    return filled_project("theirs", first=101)


def person(world: Filled, other: Filled, role: str) -> User | None:
    if role == "anonymous":
        return None
    if role == "foreign manager":
        return other.team.manager
    if role == "operator":
        return make_user("operator", is_staff=True)
    return getattr(world.team, role)


def client_of(user: User | None, **options: object) -> Client:
    client = Client(raise_request_exception=False, **options)
    if user is not None:
        client.force_login(user)
    return client


def ask(
    client: Client, method: str, url: str, body: str | dict[str, str] | None = None, **headers: str
) -> HttpResponseBase:
    """The answer to a request whose writes are taken back, to the database and to the browser's cookies."""
    cookies = copy.deepcopy(client.cookies)
    with transaction.atomic():
        if method == "GET":
            content = {}
        elif method == "POST" and not url.startswith("/api/"):
            content = {"data": body or {}}
        else:
            sent = BODIES.get(url, "{}") if body is None else body
            content = {"data": sent, "content_type": "application/json"}
        response = getattr(client, method.lower())(url, headers=headers, **content)
        transaction.set_rollback(True)
    client.cookies = cookies
    return response


def expected(route: Route, method: str, role: str) -> str:
    """login, 403, 404 or through."""
    needed = route.rules[method]
    if needed == "open":
        return "through"
    if role == "anonymous":
        return "login"
    if needed == "login":
        return "through"
    if needed == "starter":
        return "through" if role in ("manager", "foreign manager", "operator") else "403"
    if role == "operator" and needed in ("jobs", "jobs!"):
        return "through"
    if role in MEMBERS[needed]:
        return "through"
    return "404" if role in OUTSIDERS or needed in SILENT else "403"


def answered(response: HttpResponseBase) -> str:
    """The class of an answer."""
    status = response.status_code
    if status == 302 and "/account/login/" in response.headers["Location"]:
        return "login"
    if status == 401:
        return "login"
    if status >= 500 or status in STOPPED:
        return str(status)
    return "through"


def report(wrong: list[str]) -> None:
    assert not wrong, "\n".join([f"{len(wrong)} wrong answers", *wrong])


def test_every_route_is_in_the_table_and_the_table_has_no_other():
    listed = [route.path for route in routes()]
    served = list(served_paths())
    assert [path for path, count in Counter(listed).items() if count > 1] == []
    assert sorted(set(served) - set(listed)) == [], "routes without a rule"
    assert sorted(set(listed) - set(served)) == [], "rules without a route"


@pytest.mark.parametrize("role", ["anonymous", *OUTSIDERS, *INSIDERS])
@pytest.mark.parametrize("is_htmx", [False, True], ids=["plain", "htmx"])
def test_every_route_answers_every_role_as_the_table_says(world, other, role, is_htmx):
    client, wrong = client_of(person(world, other, role)), []
    for route in routes():
        if is_htmx and route.is_rest:
            continue
        headers = {"HX-Request": "true"} if is_htmx else {}
        for method in route.rules:
            response = ask(client, method, world.url(route.path), **headers)
            # A library's own way to say "log in first" may be a form of its own.
            if answered(response) != expected(route, method, role) and (
                route.is_ours or response.status_code >= 500
            ):
                said = expected(route, method, role)
                wrong.append(f"{method} {route.path}: {response.status_code} for {role}, not {said}")
    report(wrong)


def test_what_gets_through_by_get_is_a_page_and_not_an_error(world, other):
    client, wrong = client_of(world.team.manager), []
    for route in routes():
        if route.is_ours and route.rules.get("GET", "own") != "own":
            response = ask(client, "GET", world.url(route.path))
            redirects = ["projects/<slug:slug>/export/", "invitations/<str:token>/"]
            if response.status_code != (302 if route.path in redirects else 200):
                wrong.append(f"{route.path}: {response.status_code}")
    report(wrong)


def test_methods_that_are_not_in_the_table_are_refused(world, other):
    client, wrong = client_of(world.team.manager), []
    for route in filter(lambda route: route.is_ours and route.path != "health", routes()):
        for method in set(METHODS) - set(route.rules):
            response = ask(client, method, world.url(route.path))
            if response.status_code != 405:
                wrong.append(f"{method} {route.path}: {response.status_code}")
    report(wrong)


@pytest.mark.parametrize("is_htmx", [False, True], ids=["plain", "htmx"])
def test_another_projects_id_under_ones_own_project_is_a_404(world, other, is_htmx):
    """The manager of one project names something of another one, under an address of their own project."""
    client, wrong, tried = client_of(other.team.manager), [], 0
    for route in filter(lambda route: route.has_ids and "<slug:slug>" in route.path, routes()):
        for method in route.rules:
            headers = {"HX-Request": "true"} if is_htmx else {}
            response = ask(client, method, world.url(route.path, slug=other.slug), **headers)
            tried += 1
            if response.status_code != 404:
                wrong.append(f"{method} {route.path}: {response.status_code}")
    assert tried > 50
    report(wrong)


def test_another_persons_assignment_is_a_404_even_to_a_member_who_labels(world, other):
    client, wrong = client_of(world.team.reviewer), []
    own = [(route, method) for route in routes() for method, needed in route.rules.items() if needed == "own"]
    assert own
    for route, method in own:
        response = ask(client, method, world.url(route.path))
        if response.status_code != 404:
            wrong.append(f"{method} {route.path}: {response.status_code}")
    report(wrong)


def test_a_404_tells_nothing_about_what_exists(world, other):
    """A stranger cannot tell a project that is there from one that is not."""
    client = client_of(world.team.stranger)
    for path in ("/projects/{}/", "/api/v1/projects/{}", "/api/v1/projects/{}/comparisons"):
        there, nowhere = (client.get(path.format(slug)) for slug in (world.slug, "nowhere"))
        assert there.status_code == nowhere.status_code == 404
        assert TOKEN.sub("", there.content.decode()) == TOKEN.sub("", nowhere.content.decode())


def test_a_deactivated_account_is_nobody(world, other):
    user = world.team.manager
    client = client_of(user)
    user.is_active = False
    user.save()
    for path in ("/projects/mine/", "/projects/mine/models/", "/api/v1/projects/mine", "/"):
        assert answered(client.get(path)) == "login", path


def test_a_post_without_the_csrf_token_is_refused(world, other):
    client, wrong, tried = client_of(world.team.manager, enforce_csrf_checks=True), [], 0
    labeler = client_of(world.team.labeler, enforce_csrf_checks=True)
    for route in filter(lambda route: route.is_ours, routes()):
        for method, needed in route.rules.items():
            if method != "GET":
                tried += 1
                who = labeler if needed == "own" else client
                response = ask(who, method, world.url(route.path))
                if response.status_code != 403:
                    wrong.append(f"{method} {route.path}: {response.status_code}")
    assert tried > 60
    report(wrong)


def test_the_log_in_and_the_language_need_the_csrf_token_too(world):
    client = client_of(None, enforce_csrf_checks=True)
    for path in ("/account/login/", "/account/password/reset/", "/account/language/"):
        assert client.post(path, {}).status_code == 403, path


def test_nobody_signs_up_without_an_invitation(world):
    before = User.objects.count()
    fields = {
        "username": "new",
        "email": "n@example.org",
        "password1": "correct horse",
        "password2": "correct horse",
    }
    response = client_of(None).post("/account/signup/", fields)
    assert User.objects.count() == before
    assert "/account/login/" not in response.headers.get("Location", "")


def _admin_urls() -> list[str]:
    urls = ["/admin/"]
    for model in admin.site._registry:
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        urls += [base, f"{base}add/"]
    return urls


def test_the_admin_is_for_operators_alone(world, other):
    urls, wrong = _admin_urls(), []
    assert len(urls) > 50
    for role in ("anonymous", "manager", "stranger", "labeler"):
        client = client_of(person(world, other, role))
        wrong += [
            f"{role} {url}"
            for url in urls
            if "/admin/login/" not in client.get(url).headers.get("Location", "")
        ]
    staff = client_of(make_user("clerk", is_staff=True))
    wrong += [f"staff without rights {url}" for url in urls[1:] if staff.get(url).status_code != 403]
    boss = client_of(make_user("boss", is_staff=True, is_superuser=True))
    for url in urls:
        status = boss.get(url).status_code
        # What may not be added by hand (preferences, verdicts, …) says so.
        if status != 200 and not (url.endswith("/add/") and status == 403):
            wrong.append(f"superuser {url}: {status}")
    report(wrong)
