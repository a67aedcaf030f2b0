"""Log-out: the next person at this machine finds nothing, and nothing is forgotten that the server does not have."""

from __future__ import annotations

import pytest

from labeling.models import Assignment, Comparison, Preference, Role
from tests.journeys.label_desk import session_cookie
from tests.labeling.label.factories import make_labeler, make_project
from tests.labeling.review.factories import answers
from tests.servers import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
SCHEME = {"rationale": "optional", "rewrites": True}
WORDS = "半句话 so far"
# All that this browser keeps, in both of its stores, but for settings.
KEPT = """async () => {
    const database = await new Promise((resolve) => {
        const request = indexedDB.open("chosen.label", 1);
        request.onupgradeneeded = () => request.result.createObjectStore("kept");
        request.onsuccess = () => resolve(request.result);
    });
    const request = database.transaction("kept").objectStore("kept").getAll();
    const records = await new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, records]);
}"""


def log_out(desk, *, says: str = "") -> None:
    """By the menu; `says` ("yes", "no") answers the question whether to go all the same, "" expects none."""
    asked = []

    def reply(dialog):
        asked.append(dialog.message)
        dialog.accept() if says == "yes" else dialog.dismiss()

    desk.page.on("dialog", reply)
    desk.page.eval_on_selector("header details.menu:has([data-leaving])", "menu => { menu.open = true; }")
    desk.page.click("[data-leaving] button")
    if says == "no":
        wait_until(lambda: desk.page.evaluate("1") and asked)
    else:
        desk.page.wait_for_url("**/account/login/**")
    desk.page.remove_listener("dialog", reply)
    assert bool(asked) == bool(says), asked


def log_in(desk, labeler) -> None:
    desk.page.context.add_cookies([session_cookie(labeler, desk.url)])
    desk.labeler = labeler


def type_why(desk, words=WORDS) -> None:
    desk.page.fill(".stage [name=rationale]", words)


def wait_empty(desk) -> None:
    """Until neither store of this browser holds a word of it."""
    desk.page.wait_for_function(f"async () => !(await ({KEPT})()).includes({WORDS!r})")


def test_a_draft_goes_to_the_server_and_leaves_the_browser(seat):
    desk = seat(make_project(3, scheme=SCHEME)).open()
    type_why(desk)
    assert WORDS in desk.page.evaluate(KEPT)
    log_out(desk)
    wait_empty(desk)
    assert Assignment.objects.get(draft__rationale=WORDS).labeler == desk.labeler
    log_in(desk, desk.labeler)
    desk.open()
    assert desk.why == WORDS
    assert desk.problems == []


def test_an_answer_on_its_way_arrives_first(seat):
    desk = seat(make_project(3, scheme=SCHEME)).open()
    desk.page.route("**/submit", lambda route: (desk.page.wait_for_timeout(700), route.continue_()))
    type_why(desk)
    desk.page.keyboard.press("Escape")
    desk.press_and_move_on("2")
    log_out(desk)
    assert Preference.objects.get().rationale == WORDS
    wait_empty(desk)


def test_what_the_server_did_not_get_is_asked_about_and_stays(seat):
    desk = seat(make_project(3, scheme=SCHEME)).open()
    desk.page.route("**/draft", lambda route: route.abort())
    type_why(desk)
    log_out(desk, says="no")
    assert (desk.why, "/label/" in desk.page.url) == (WORDS, True)
    log_out(desk, says="yes")
    assert WORDS in desk.page.evaluate(KEPT)
    other = make_labeler(desk.labeler.project)
    first = desk.labeler
    log_in(desk, other)
    desk.open()
    assert WORDS not in desk.page.inner_text("body")
    assert desk.why == ""
    log_out(desk)  # nothing of this person's own is left here
    assert WORDS in desk.page.evaluate(KEPT)
    desk.page.unroute("**/draft")
    log_in(desk, first)
    with desk.page.expect_response("**/draft"):
        desk.open()
    assert desk.why == WORDS
    log_out(desk)
    wait_empty(desk)


def test_a_draft_that_another_page_finds_is_sent_from_there(seat):
    desk = seat(make_project(3, scheme=SCHEME)).open()
    desk.page.route("**/draft", lambda route: route.abort())
    type_why(desk)
    desk.page.goto(f"{desk.url}/account/profile/")
    desk.page.unroute("**/draft")
    log_out(desk)
    wait_empty(desk)
    assert Assignment.objects.filter(draft__rationale=WORDS).count() == 1


def test_a_rewrite_that_was_begun_goes_to_the_server_and_leaves_the_browser(seat):
    desk = seat(make_project(2, scheme=SCHEME)).open()
    desk.page.click(".stage .rewrite.a > summary")
    desk.page.fill(".stage .rewrite.a textarea", WORDS)
    log_out(desk)
    wait_empty(desk)
    log_in(desk, desk.labeler)
    desk.open()
    desk.page.click(".stage .rewrite.a > summary")
    assert desk.page.input_value(".stage .rewrite.a textarea") == WORDS


def test_half_a_reason_is_the_reviewers_own(seat):
    project = make_project(1, overlap=2)
    answers(project, "2", "7")
    first, second = (make_labeler(project, role=Role.REVIEWER) for _ in "ab")
    desk = seat(project, first)
    address = f"{desk.url}/projects/{project.slug}/review/{Comparison.objects.get().pk}/"
    desk.page.goto(address)
    desk.page.fill("textarea[name=reason]", WORDS)
    log_out(desk, says="yes")
    for person, reason in ((second, ""), (first, WORDS)):
        log_in(desk, person)
        desk.page.goto(address)
        assert desk.page.input_value("textarea[name=reason]") == reason
