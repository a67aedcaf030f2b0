"""Cut networks, killed browsers and expired sessions over rankings and rewrites: no draft lost, nothing saved twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page

from labeling.models import Labeler, Preference, Project, Ranking, Response
from tests.factories import make_member
from tests.journeys.killing import kill_browser, lasting_browser, wait_kept
from tests.journeys.label_desk import session_cookie, sit_down
from tests.labeling.ranking.builders import SCHEME, add_prompt, make_labeler, ranking_project

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
TIMES = 10  # rounds of two faults each, of rankings and rewrites at once
# The page has come back with what was saved, and asks about other responses.
NEXT_ONE = """() => document.documentElement.dataset.ready === "rank" && document.querySelector(".after-ranking")
  && ![...document.querySelectorAll("[name^=place-]")].some((select) => select.value)"""


class Seat:
    """A person's browser with a page of each project, whose network, session or process fails and comes back."""

    def __init__(self, chromium, profile: str, url: str, fault: str, projects: dict[str, Project]) -> None:
        """`projects`: by the page that is shown of it, "rank" or "label"."""
        self.chromium, self.profile, self.url, self.fault, self.projects = (
            chromium, profile, url, fault, projects,
        )  # fmt: skip
        first, *others = projects.values()
        self.labeler = make_labeler(first)
        for project in others:
            make_member(project, user=self.labeler.user)
        self.pages: dict[str, Page] = {}
        self._sit_down()

    def _sit_down(self) -> None:
        if self.fault == "browser":
            page = lasting_browser(self.chromium, self.profile, self.labeler, self.url)
        else:
            page = sit_down(self.chromium, self.labeler, self.url).page
        more = [page.context.new_page() for _page in list(self.projects)[1:]]
        self.pages = dict(zip(self.projects, [page, *more], strict=True))
        self.open()

    def open(self) -> None:
        for where, page in self.pages.items():
            page.goto(f"{self.url}/projects/{self.projects[where].slug}/{where}/")
            page.wait_for_selector(f"html[data-ready={where}]")

    @property
    def page(self) -> Page:
        """The first, or the only one."""
        return next(iter(self.pages.values()))

    def fail(self) -> None:
        """From here on nothing arrives at the server."""
        if self.fault == "session":
            Session.objects.all().delete()
        elif self.fault == "network":
            self.page.context.set_offline(True)
        else:
            self.page.context.route("**/projects/**", lambda route: route.abort())

    def die(self) -> None:
        """The browser alone, as soon as its pages say that they have kept everything."""
        if self.fault == "browser":
            for page in self.pages.values():
                wait_kept(page)
            kill_browser(self.profile)

    def recover(self, *, reopens: bool = True) -> None:
        """`reopens`: the pages, too. Without it what waits goes by itself, but for a killed browser's."""
        if self.fault == "browser":
            return self._sit_down()
        if self.fault == "network":
            self.page.context.set_offline(False)
        else:
            self.page.context.add_cookies([session_cookie(self.labeler, self.url)])
        if reopens:
            return self.open()
        if self.fault == "session":
            for page in self.pages.values():  # and not at their next try, seconds later
                page.evaluate("dispatchEvent(new Event('online'))")
        return None

    def wait_saved(self, where: str, outbox: str = "") -> None:
        """Until nothing waits in this outbox of the browser; without a name, that of the answers on pairs."""
        labeler = Labeler.objects.get(project=self.projects[where], user=self.labeler.user)
        self.page.wait_for_function(
            "name => !JSON.parse(localStorage.getItem(name))?.items.length",
            arg=f"chosen.outbox.{outbox}{labeler.uid}",
        )

    def close(self) -> None:
        self.page.context.close()


@pytest.fixture
def seat(web_process, chromium, tmp_path):
    site, seats = web_process(), []

    def make(fault: str, **projects: Project) -> Seat:
        seats.append(Seat(chromium, str(tmp_path / "profile"), site.url, fault, projects))
        return seats[-1]

    yield make
    for each in seats:
        each.close()


def places(page: Page) -> list[str]:
    return [page.input_value(f"[name=place-{letter}]") for letter in "ABC"]


def rank(page: Page, keys: Iterable[str]) -> None:
    for key in keys:
        page.keyboard.press(key)


def rewritten(page: Page) -> str:
    """What the field says in which the left response is rewritten."""
    page.eval_on_selector(".stage .rewrite.a", "rewrite => (rewrite.open = true)")
    return page.input_value(".stage .rewrite.a textarea")


@pytest.mark.parametrize("fault", ["network", "session", "browser"])
def test_rankings_and_rewrites_outlive_every_fault_and_are_saved_once(seat, fault):
    """Each round: an order and a text that were begun and never sent are there again; the ended ones go by
    themselves."""
    ranked, paired = ranking_project(scheme=SCHEME), ranking_project(scheme=SCHEME)
    for number in range(TIMES + 2):
        add_prompt(ranked, 3, priority=-number)
        add_prompt(paired, 2, priority=-number)
    desk = seat(fault, rank=ranked, label=paired)
    for number in range(TIMES):
        uid = desk.pages["label"].get_attribute(".stage .pair-view", "data-uid")
        desk.fail()
        rank(desk.pages["rank"], "21")
        desk.pages["rank"].fill("[name=rationale]", f"why {number}")
        rewritten(desk.pages["label"])
        desk.pages["label"].fill(".stage .rewrite.a textarea", f"Half of {number}")
        desk.die()
        desk.recover()
        order, pair = desk.pages["rank"], desk.pages["label"]
        said = (places(order), order.input_value("[name=rationale]"))
        assert said == (["2", "1", ""], f"why {number}")
        assert pair.get_attribute(".stage .pair-view", "data-uid") == uid
        assert rewritten(pair) == f"Half of {number}"
        desk.fail()
        rank(order, ["c", "3", "Enter"])
        order.wait_for_selector(".dock-error:not([hidden])")
        pair.fill(".stage .rewrite.a textarea", f"All of {number}")
        pair.click(".stage .rewrite.a [data-keep]")
        pair.wait_for_selector(".stage .rewrite.a [data-said].bad")
        assert Ranking.objects.count() == number
        assert Response.objects.filter(parent__isnull=False).count() == number
        desk.die()
        desk.recover(reopens=False)
        desk.wait_saved("rank", "rank.")
        desk.wait_saved("label", "rewrite.")
        desk.pages["rank"].wait_for_function(NEXT_ONE)
        rank(desk.pages["label"], "2")
        desk.pages["label"].wait_for_function(
            "uid => document.querySelector('.stage .pair-view').dataset.uid !== uid", arg=uid
        )
        desk.wait_saved("label")
    rows = list(Ranking.objects.order_by("pk"))
    assert [row.rationale for row in rows] == [f"why {number}" for number in range(TIMES)]
    assert len({row.prompt_id for row in rows}) == TIMES
    said = Preference.objects.filter(project=ranked).values_list("comparison_id", flat=True)
    assert set(Counter(said).values()) == {1}
    assert len(said) == 3 * TIMES
    texts = Response.objects.filter(parent__isnull=False).order_by("pk").values_list("text", flat=True)
    assert list(texts) == [f"All of {number}" for number in range(TIMES)]
    votes = Preference.objects.filter(project=paired)
    assert (votes.filter(shown_left__isnull=False).count(), votes.count()) == (TIMES, 2 * TIMES)


@pytest.mark.parametrize("what", ["ranking", "rewrite"])
def test_an_answer_lost_on_its_way_back_is_asked_for_again_under_the_same_key(seat, what):
    """The server has saved it, and the browser does not know."""
    project = ranking_project(scheme=SCHEME)
    add_prompt(project, 3)
    desk = seat("session", **{"rank" if what == "ranking" else "label": project})
    keys = []

    def lose(route):
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            return route.continue_()
        route.fetch()
        return route.abort()

    desk.page.route("**/submit" if what == "ranking" else "**/rewrite", lose)
    if what == "ranking":
        for key in ["2", "1", "Enter"]:
            desk.page.keyboard.press(key)
        desk.wait_saved("rank", "rank.")
        assert (Ranking.objects.count(), Preference.objects.count()) == (1, 1)
    else:
        desk.page.click(".stage .rewrite.a > summary")
        desk.page.fill(".stage .rewrite.a textarea", "Better.")
        desk.page.click(".stage .rewrite.a [data-keep]")
        desk.page.wait_for_selector(".stage .rewrite.a [data-take-back]:not([hidden])")
        assert Response.objects.filter(parent__isnull=False).count() == 1
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_another_browser_goes_on_with_drafts_of_both_and_its_word_then_counts(seat):
    project = ranking_project(scheme=SCHEME)
    add_prompt(project, 3, priority=1)
    add_prompt(project, 2)
    desk = seat("network", rank=project)
    other = sit_down(desk.chromium, desk.labeler, desk.url)

    def sent(page):
        return page.expect_response(lambda answer: answer.url.endswith("/draft"))

    def show(page, where: str) -> None:
        page.goto(f"{desk.url}/projects/{project.slug}/{where}/")
        page.wait_for_selector(f"html[data-ready={where}]")

    with sent(desk.page):
        desk.page.keyboard.press("3")
    show(other.page, "rank")
    assert places(other.page) == ["3", "", ""]
    with sent(other.page):
        other.page.keyboard.press("1")
    show(desk.page, "rank")
    assert places(desk.page) == ["3", "1", ""]
    show(desk.page, "label")
    desk.page.click(".stage .rewrite.b > summary")
    with sent(desk.page):
        desk.page.fill(".stage .rewrite.b textarea", "Begun here.")
    show(other.page, "label")
    assert other.page.get_attribute(".stage .rewrite.b", "class") == "rewrite b begun"
    assert other.page.input_value(".stage .rewrite.b textarea") == "Begun here."
    other.page.click(".stage .rewrite.b > summary")
    with sent(other.page):
        other.page.fill(".stage .rewrite.b textarea", "Ended there.")
    show(desk.page, "label")
    assert desk.page.input_value(".stage .rewrite.b textarea") == "Ended there."
    assert other.problems == []
    other.page.context.close()
