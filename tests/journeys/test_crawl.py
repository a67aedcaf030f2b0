"""Every page in a real browser, as manager, labeler, visitor and operator: no other host, no CSP violation, no error,
and nothing that axe-core calls serious."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.admin.models import CHANGE, LogEntry

from tests.factories import make_user
from tests.house.filled import Filled, filled_project
from tests.house.routes import routes
from tests.house.tables import listed
from tests.journeys.axe import BROWSER, Axe
from tests.journeys.crawler import Crawler, logged_in
from webapp.users.models import User

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
# What a visitor, a labeler, and anybody with an account may open.
OPEN, LABELERS, ACCOUNT = {"open"}, {"open", "login", "enter", "label"}, {"open", "login"}


@pytest.fixture
def world(transactional_db) -> Filled:
    return filled_project("mine")


@pytest.fixture
def crawler_of(web_process, chromium) -> Iterator[Callable[..., Crawler]]:
    """`crawler_of(user, axe=..., narrow=...)`: that person at a browser of their own; without one, a visitor."""
    site = web_process()
    contexts = []

    def make(user: User | None, locale: str = "en-GB", **options: object) -> Crawler:
        context = chromium.new_context(locale=locale, **BROWSER)
        contexts.append(context)
        if user is not None:
            logged_in(context, user, site.url)
        return Crawler(context, site.url, **options)

    yield make
    for context in contexts:
        context.close()


def pages_of(world: Filled) -> list[str]:
    """Every page of the table, and no file, no part of a page, and nothing that is somebody else's own."""
    left_out = listed("PANELS")
    return [
        world.url(route.path)
        for route in routes()
        if route.is_ours
        and route.rules.get("GET", "own") != "own"
        and not any(part in route.path for part in left_out)
    ]


def pages_for(world: Filled, rules: set[str]) -> list[str]:
    """Pages, those of the log-in's library among them, that a GET opens to people with these rights."""
    return [
        world.url(route.path)
        for route in routes()
        if route.rules.get("GET") in rules
        and "<str:" not in route.path
        and "^" not in route.path
        and not any(part in route.path for part in (*listed("PANELS"), "logout", "download"))
    ]


def check(crawler: Crawler, at_least: int) -> None:
    assert not crawler.problems, "\n".join(dict.fromkeys(crawler.problems))
    assert len(crawler.visited) >= at_least, crawler.visited


def test_a_manager_finds_every_page_in_order(world, crawler_of):
    User.objects.update(language="en")
    TOTP.activate(world.team.manager, generate_totp_secret())
    RecoveryCodes.activate(world.team.manager)
    of_rest = "/api/docs?subject=comparisons"
    narrow = {of_rest, *(world.url(path) for path in listed("MAIN_PAGES"))}
    crawler = crawler_of(world.team.manager, axe=Axe(), narrow=narrow)
    crawler.crawl(*pages_of(world), *pages_for(world, ACCOUNT), "/api/docs", of_rest)
    check(crawler, at_least=80)
    crawler.visit(f"/projects/{world.slug}/comparisons/", "en")
    crawler.page.select_option("#bulk-scope", "all")
    crawler.page.click("#bulk button")
    crawler.page.wait_for_url("**/bulk/")
    crawler.axe.look(crawler.page, "what a bulk action would do", is_narrow=True)
    crawler.axe.check(at_least=60)


def test_a_manager_finds_the_main_pages_in_chinese(world, crawler_of):
    User.objects.update(language="zh-hans")
    crawler = crawler_of(world.team.manager, "zh-CN", most=60)
    for path in sorted({world.url(path) for path in listed("MAIN_PAGES")}):
        crawler.visit(path, "zh-hans")
    check(crawler, at_least=35)


def test_a_labeler_finds_every_page_in_order(world, crawler_of):
    """In Chinese, all at both widths: these are the pages that people spend their days on."""
    User.objects.update(language="zh-hans")
    again = world.url("projects/<slug:slug>/again/<uuid:uid>/")
    pages = ["/", f"/projects/{world.slug}/", again, *pages_for(world, LABELERS - ACCOUNT)]
    crawler = crawler_of(world.team.labeler, "zh-CN", axe=Axe(), narrow=pages)
    crawler.crawl(*pages, language="zh-hans")
    check(crawler, at_least=8)
    assert any("/label/" in path for path in crawler.visited)
    for refused in ("/nothing/here/", f"/projects/{world.slug}/people/"):
        crawler.page.goto(crawler.base + refused)
        crawler.axe.look(crawler.page, refused, is_narrow=True)
    crawler.axe.check(at_least=8)


def test_a_visitor_finds_the_log_in(world, crawler_of):
    pages = [f"/projects/{world.slug}/", world.url("invitations/<str:token>/"), *pages_for(world, OPEN)]
    crawler = crawler_of(None, axe=Axe(), narrow=pages)
    crawler.crawl("/", *pages)
    check(crawler, at_least=6)
    crawler.page.goto(crawler.base + "/")
    assert crawler.page.locator("input[name=login]").count() == 1
    crawler.axe.check(at_least=6)


def kind_of_admin(path: str) -> str:
    """What of the admin it shows: a list, a form, an object's history, whatever the model."""
    parts = path.strip("/").split("/")
    return parts[-1] if len(parts) > 3 else str(len(parts))


def test_an_operator_finds_the_admin_in_order(world, crawler_of):
    operator = make_user("operator", is_staff=True, is_superuser=True)
    crawler = crawler_of(operator, each_kind=1, most=90, axe=Axe(), axe_kind=kind_of_admin)
    crawler.crawl(
        "/admin/", "/admin/django_celery_beat/periodictask/add/", stay_under="/admin/", with_query=False
    )
    check(crawler, at_least=60)
    person = world.team.labeler
    LogEntry.objects.log_actions(operator.pk, [person], CHANGE, change_message="Renamed.", single_object=True)
    for part in ("change", "history", "delete"):
        path = f"/admin/users/user/{person.pk}/{part}/"
        crawler.visit(path, "en")
        crawler.axe.look(crawler.page, path, is_narrow=True)
    check(crawler, at_least=63)
    crawler.axe.check(at_least=8)
