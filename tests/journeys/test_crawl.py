"""Every page in a real browser, as manager, labeler and operator: no other host, no CSP violation, no error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.factories import make_user
from tests.house.filled import Filled, filled_project
from tests.house.routes import routes
from tests.house.tables import listed
from tests.journeys.crawler import Crawler, logged_in
from webapp.users.models import User

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
SERIOUS = {"serious", "critical"}


@pytest.fixture
def world(transactional_db) -> Filled:
    return filled_project("mine")


@pytest.fixture
def crawler_of(web_process, chromium) -> Iterator[Callable[..., Crawler]]:
    """`crawler_of(user)`: that person at a browser of their own; without one, a visitor."""
    site = web_process()
    contexts = []

    def make(user: User | None, **options: object) -> Crawler:
        context = chromium.new_context(**options)
        contexts.append(context)
        if user is not None:
            logged_in(context, user, site.url)
        return Crawler(context, site.url)

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


def check(crawler: Crawler, at_least: int) -> None:
    assert not crawler.problems, "\n".join(dict.fromkeys(crawler.problems))
    assert len(crawler.visited) >= at_least, crawler.visited


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_manager_finds_every_page_in_order(world, crawler_of, language):
    User.objects.update(language=language)
    crawler = crawler_of(world.team.manager)
    crawler.crawl(*pages_of(world), "/api/docs" if language == "en" else "/", language=language)
    check(crawler, at_least=45)


def test_a_labeler_finds_every_page_in_order(world, crawler_of):
    User.objects.update(language="en")
    crawler = crawler_of(world.team.labeler)
    again = world.url("projects/<slug:slug>/again/<uuid:uid>/")
    crawler.crawl("/", f"/projects/{world.slug}/", again)
    check(crawler, at_least=5)
    assert again in crawler.visited
    assert f"/projects/{world.slug}/label/" in crawler.page.url or "/label/" in " ".join(crawler.visited)


def test_a_visitor_finds_the_log_in(world, crawler_of):
    crawler = crawler_of(None, locale="en-GB")
    crawler.crawl("/", f"/projects/{world.slug}/", "/help/")
    check(crawler, at_least=3)
    assert crawler.page.locator("input[name=login]").count() == 1 or "/help/" in crawler.page.url


def test_an_operator_finds_the_admin_in_order(world, crawler_of):
    crawler = crawler_of(make_user("operator", is_staff=True, is_superuser=True))
    crawler.each_kind = 1
    crawler.crawl(
        "/admin/", "/admin/django_celery_beat/periodictask/add/", stay_under="/admin/", with_query=False
    )
    check(crawler, at_least=60)


def axe_script() -> str:
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def violations(page) -> list[str]:
    """What axe-core calls serious or critical on the page, WCAG 2.2 AA."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    result = page.evaluate("tags => axe.run(document, {runOnly: tags})", tags)
    assert result["passes"], "axe looked at nothing"
    return [
        f"{rule['impact']} {rule['id']}: {node['html'][:140]} {node['failureSummary'][:200]}"
        for rule in result["violations"]
        if rule["impact"] in SERIOUS
        for node in rule["nodes"][:3]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_the_main_pages(world, crawler_of, scheme):
    # axe is injected, which the pages' own policy forbids; what the policy lets through is tested above.
    crawler = crawler_of(world.team.manager, bypass_csp=True, color_scheme=scheme, locale="en-GB")
    script, found = axe_script(), []
    for path in listed("MAIN_PAGES"):
        url = world.url(path)
        crawler.page.goto(crawler.base + url)
        crawler.page.wait_for_load_state("networkidle")
        crawler.page.evaluate(script)
        found += [f"{url}: {line}" for line in violations(crawler.page)]
    assert not found, "\n".join(found)
