"""Every page in a real browser, as manager, labeler and operator: no other host, no CSP violation, no error."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.factories import make_user
from tests.house.filled import Filled, filled_project
from tests.house.routes import routes
from tests.house.tables import listed
from tests.journeys.crawler import HANDS_OUT, Crawler, logged_in
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


WCAG = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
COLOURS = {"type": "rule", "values": ["color-contrast"]}
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# What a visitor, a labeler, and anybody with an account may open.
OPEN, LABELERS, ACCOUNT = {"open"}, {"open", "login", "enter", "label"}, {"open", "login"}


def violations(page: Page, rules: dict[str, object]) -> list[str]:
    """What axe-core, which the page has, calls serious or critical."""
    result = page.evaluate("runOnly => axe.run(document, {runOnly})", rules)
    assert result["passes"], f"axe looked at nothing on {page.url}"
    return [
        f"{rule['impact']} {rule['id']}: {node['html'][:140]} {node['failureSummary'][:200]}"
        for rule in result["violations"]
        if rule["impact"] in SERIOUS
        for node in rule["nodes"][:3]
    ]


class Examiner:
    """One browser in which axe-core looks at pages: in light and dark, and where asked for at 390 px, too. `found` is
    what it calls serious or critical, WCAG 2.2 AA."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler, self.page, self.script = crawler, crawler.page, axe_script()
        self.found: list[str] = []
        self.seen: set[str] = set()

    def visit(self, paths: Iterable[str], narrow: Container[str] = ()) -> None:
        # What hands out comparisons closes other pages to the same person, so it comes last.
        for path in sorted(dict.fromkeys(paths), key=lambda path: bool(HANDS_OUT.search(path))):
            self.page.goto(self.crawler.base + path)
            if self.page.url not in self.seen:
                self.seen.add(self.page.url)
                self.look(path, is_narrow=path in narrow)

    def look(self, name: str, *, is_narrow: bool = False) -> None:
        self.page.wait_for_load_state("networkidle")
        self.page.evaluate(self.script)
        self._run(f"{name} (light)", WCAG)
        if is_narrow:
            self.page.set_viewport_size(NARROW)
            self._run(f"{name} (390 px)", WCAG)
            self.page.set_viewport_size(WIDE)
        self.page.emulate_media(color_scheme="dark")
        self._run(f"{name} (dark)", COLOURS)
        self.page.emulate_media(color_scheme="light")

    def _run(self, name: str, rules: dict[str, object]) -> None:
        self.page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))")
        self.found += [f"{name}: {said}" for said in violations(self.page, rules)]

    def check(self, at_least: int) -> None:
        assert not self.found, "\n".join(dict.fromkeys(self.found))
        assert len(self.seen) >= at_least, sorted(self.seen)


@pytest.fixture
def examiner_of(crawler_of) -> Callable[..., Examiner]:
    """Axe is injected, which the pages' own policy forbids; what the policy lets through is tested above. Motion is
    off, or colours would be measured on their way from light to dark."""

    def make(user: User | None, locale: str = "en-GB") -> Examiner:
        options = {"bypass_csp": True, "viewport": WIDE, "reduced_motion": "reduce", "locale": locale}
        return Examiner(crawler_of(user, color_scheme="light", **options))

    return make


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


def test_axe_finds_nothing_serious_on_any_page_of_a_manager(world, examiner_of):
    User.objects.update(language="en")
    axe = examiner_of(world.team.manager)
    main = {world.url(path) for path in listed("MAIN_PAGES")}
    axe.visit([*pages_of(world), *pages_for(world, ACCOUNT), *main], narrow=main)
    axe.visit([f"/projects/{world.slug}/comparisons/"])
    axe.page.select_option("#bulk-scope", "all")
    axe.page.click("#bulk button")
    axe.page.wait_for_url("**/bulk/")
    axe.look("what a bulk action would do", is_narrow=True)
    axe.check(at_least=60)


def test_axe_finds_nothing_serious_on_a_labelers_pages(world, examiner_of):
    """In Chinese, all at both widths: these are the pages that people spend their days on."""
    User.objects.update(language="zh-hans")
    axe = examiner_of(world.team.labeler, "zh-CN")
    again = world.url("projects/<slug:slug>/again/<uuid:uid>/")
    pages = [again, *pages_for(world, LABELERS - ACCOUNT)]
    axe.visit(pages, narrow=pages)
    axe.visit(["/nothing/here/", f"/projects/{world.slug}/people/"])  # how it is refused
    axe.check(at_least=6)


def test_axe_finds_nothing_serious_on_a_visitors_pages(world, examiner_of):
    axe = examiner_of(None)
    pages = ["/", world.url("invitations/<str:token>/"), *pages_for(world, OPEN)]
    axe.visit(pages, narrow=pages)
    axe.check(at_least=6)
