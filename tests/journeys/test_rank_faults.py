"""Cut networks, killed browsers and expired sessions over rankings and rewrites: no draft lost, nothing saved twice."""

from __future__ import annotations

from collections import Counter

import pytest
from django.contrib.sessions.models import Session

from labeling.models import Preference, Project, Ranking, Response
from tests.journeys.killing import kill_browser, lasting_browser, wait_kept
from tests.journeys.label_desk import session_cookie, sit_down
from tests.labeling.ranking.builders import SCHEME, add_prompt, make_labeler, ranking_project

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
TIMES = 5  # rounds of two faults each
FAULTS = ("network", "session", "browser")
# The page has come back with what was saved, and asks about other responses.
NEXT_ONE = """() => document.documentElement.dataset.ready === "rank" && document.querySelector(".after-ranking")
  && ![...document.querySelectorAll("[name^=place-]")].some((select) => select.value)"""


class Seat:
    """A person's browser, whose network, session or process fails and comes back."""

    def __init__(self, chromium, profile: str, project: Project, url: str, fault: str, where: str) -> None:
        self.chromium, self.profile, self.url, self.fault, self.where = chromium, profile, url, fault, where
        self.labeler = make_labeler(project)
        self.is_cut = False
        self.page = self._browser() if fault == "browser" else sit_down(chromium, self.labeler, url).page
        self.open()

    def _browser(self):
        return lasting_browser(self.chromium, self.profile, self.labeler, self.url)

    def open(self) -> None:
        self.page.goto(f"{self.url}/projects/{self.labeler.project.slug}/{self.where}/")
        self.page.wait_for_selector(f"html[data-ready={self.where}]")

    def fail(self) -> None:
        """From here on nothing arrives at the server."""
        if self.fault == "session":
            Session.objects.all().delete()
        elif self.fault == "network":
            self.page.context.set_offline(True)
        else:
            self.page.route("**/projects/**", lambda route: route.abort())

    def die(self) -> None:
        """The browser alone, as soon as the page says that it has kept everything."""
        if self.fault == "browser":
            wait_kept(self.page)
            kill_browser(self.profile)

    def recover(self, *, reopens: bool = True) -> None:
        """`reopens`: the page, too, where that is left to the person: a network comes back by itself."""
        if self.fault == "browser":
            self.page = self._browser()
        elif self.fault == "network":
            self.page.context.set_offline(False)
        else:
            self.page.context.add_cookies([session_cookie(self.labeler, self.url)])
        if reopens or self.fault != "network":
            self.open()

    def wait_saved(self, outbox: str = "") -> None:
        """Until nothing waits in the browser's outbox of this kind; without one, that of the answers on pairs."""
        self.page.wait_for_function(
            "name => !JSON.parse(localStorage.getItem(name))?.items.length",
            arg=f"chosen.outbox.{outbox}{self.labeler.uid}",
        )

    def close(self) -> None:
        self.page.context.close()


@pytest.fixture
def seat(web_process, chromium, tmp_path):
    site, seats = web_process(), []

    def make(project: Project, fault: str, where: str) -> Seat:
        seats.append(Seat(chromium, str(tmp_path / "profile"), project, site.url, fault, where))
        return seats[-1]

    yield make
    for each in seats:
        each.close()


def places(page) -> list[str]:
    return [page.input_value(f"[name=place-{letter}]") for letter in "ABC"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_ranking_outlives_every_fault_and_is_saved_once(seat, fault):
    """Each round: an unfinished order that was never sent is there again; the finished one goes by itself."""
    project = ranking_project(scheme=SCHEME)
    for number in range(TIMES + 1):
        add_prompt(project, 3, priority=-number)
    desk = seat(project, fault, "rank")
    for number in range(TIMES):
        desk.fail()
        for key in "21":
            desk.page.keyboard.press(key)
        desk.page.fill("[name=rationale]", f"why {number}")
        desk.page.keyboard.press("Escape")
        desk.die()
        desk.recover()
        assert (places(desk.page), desk.page.input_value("[name=rationale]")) == (
            ["2", "1", ""],
            f"why {number}",
        )
        desk.fail()
        desk.page.keyboard.press("c")
        desk.page.keyboard.press("3")
        desk.page.keyboard.press("Enter")
        desk.page.wait_for_selector(".dock-error:not([hidden])")
        assert Ranking.objects.count() == number
        desk.die()
        desk.recover(reopens=False)
        desk.wait_saved("rank.")
        desk.page.wait_for_function(NEXT_ONE)
    rows = list(Ranking.objects.order_by("pk"))
    assert [row.rationale for row in rows] == [f"why {number}" for number in range(TIMES)]
    assert len({row.prompt_id for row in rows}) == TIMES
    assert set(Counter(Preference.objects.values_list("comparison_id", flat=True)).values()) == {1}
    assert Preference.objects.count() == 3 * TIMES


@pytest.mark.parametrize("fault", FAULTS)
def test_a_rewrite_outlives_every_fault_and_is_saved_once(seat, fault):
    project = ranking_project(scheme=SCHEME)
    for number in range(TIMES + 2):
        add_prompt(project, 2, priority=-number)
    desk = seat(project, fault, "label")

    def text() -> str:
        desk.page.click(".stage .rewrite.a > summary")
        return desk.page.input_value(".stage .rewrite.a textarea")

    for number in range(TIMES):
        uid = desk.page.get_attribute(".stage .pair-view", "data-uid")
        desk.fail()
        text()
        desk.page.fill(".stage .rewrite.a textarea", f"Half of {number}")
        desk.die()
        desk.recover()
        assert desk.page.get_attribute(".stage .pair-view", "data-uid") == uid
        assert text() == f"Half of {number}"
        desk.fail()
        desk.page.fill(".stage .rewrite.a textarea", f"All of {number}")
        desk.page.click(".stage .rewrite.a [data-keep]")
        desk.page.wait_for_selector(".stage .rewrite.a [data-said].bad")
        assert Response.objects.filter(parent__isnull=False).count() == number
        desk.die()
        desk.recover(reopens=False)
        desk.wait_saved("rewrite.")
        desk.page.keyboard.press("2")
        desk.page.wait_for_function(
            "uid => document.querySelector('.stage .pair-view').dataset.uid !== uid", arg=uid
        )
        desk.wait_saved()
    texts = Response.objects.filter(parent__isnull=False).order_by("pk").values_list("text", flat=True)
    assert list(texts) == [f"All of {number}" for number in range(TIMES)]
    votes = Preference.objects.filter(shown_left__isnull=False)
    assert (votes.count(), Preference.objects.count()) == (TIMES, 2 * TIMES)


@pytest.mark.parametrize("what", ["ranking", "rewrite"])
def test_an_answer_lost_on_its_way_back_is_asked_for_again_under_the_same_key(seat, what):
    """The server has saved it, and the browser does not know."""
    project = ranking_project(scheme=SCHEME)
    add_prompt(project, 3)
    desk = seat(project, "session", "rank" if what == "ranking" else "label")
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
        desk.wait_saved("rank.")
        assert (Ranking.objects.count(), Preference.objects.count()) == (1, 1)
    else:
        desk.page.click(".stage .rewrite.a > summary")
        desk.page.fill(".stage .rewrite.a textarea", "Better.")
        desk.page.click(".stage .rewrite.a [data-keep]")
        desk.page.wait_for_selector(".stage .rewrite.a [data-take-back]:not([hidden])")
        assert Response.objects.filter(parent__isnull=False).count() == 1
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_drafts_of_both_are_on_the_server_too(seat):
    """Another browser of the same person goes on with them."""
    project = ranking_project(scheme=SCHEME)
    add_prompt(project, 3)
    desk = seat(project, "network", "label")
    desk.page.click(".stage .rewrite.b > summary")
    with desk.page.expect_response(lambda answer: answer.url.endswith("/rewrite/draft")):
        desk.page.fill(".stage .rewrite.b textarea", "Begun here.")
    other = sit_down(desk.chromium, desk.labeler, desk.url)
    other.open()
    assert other.page.get_attribute(".stage .rewrite.b", "class") == "rewrite b begun"
    assert other.page.input_value(".stage .rewrite.b textarea") == "Begun here."
    assert other.problems == []
    other.page.context.close()
