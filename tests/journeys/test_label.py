"""Labeling in a real browser: keyboard alone, a cut network, a lost session, two people at once."""

from __future__ import annotations

import string
from collections import Counter
from urllib.parse import quote_plus

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from labeling.models import Assignment, Comparison, Preference, Response
from labeling.services.allocation import lease_next, release_expired
from labeling.services.preferences import preference_submit
from tests.journeys.label_desk import Desk, session_cookie
from tests.labeling.label.factories import make_labeler, make_project

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
SCHEME = {
    "aspects": [{"key": "safe", "name": "Safe"}],
    "reasons": ["clearer", "safer"],
    "rationale": "optional",
}


def test_ten_pairs_by_keyboard_alone(seat):
    project = make_project(10, scheme=SCHEME)
    desk = seat(project).open()
    keys = ["1", "2", "3", "4", "5", "6", "7", "8", "t", "x"]
    for key in keys:
        desk.press_and_move_on(key)
    desk.page.wait_for_selector('[data-nothing="all_done"]')
    rows = list(Preference.objects.order_by("comparison__pk").select_related("comparison"))
    assert [row.strength for row in rows] == [4, 3, 2, 1, 1, 2, 3, 4, None, None]
    shown_left = [row.shown_left_id == row.comparison.response_a_id for row in rows]
    chose_a = [row.outcome == "a" for row in rows[:8]]
    assert chose_a == [left if number < 4 else not left for number, left in enumerate(shown_left[:8])]
    assert [row.outcome for row in rows[8:]] == ["tie", "both_bad"]
    assert all(row.duration_ms is not None and row.duration_ms < 60_000 for row in rows)
    assert desk.page.text_content("[data-today]") == "10"
    assert desk.violations() == []
    assert desk.problems == []


# The keys of a list that the page's module listens to: the desk is told something, or the browser's own deed prevented.
HEARD = """async keys => {
    const { listen } = await import("/static/js/label/keys.js");
    let onKey, isHeard;
    document.addEventListener = (_kind, handler) => (onKey = handler);
    listen(new Proxy({}, { get: () => () => void (isHeard = true) }));
    delete document.addEventListener;
    return keys.filter(key => {
        isHeard = false;
        onKey({ key, code: "", target: document.body, preventDefault: () => (isHeard = true) });
        document.querySelector("[popover]:popover-open")?.hidePopover();
        return isHeard;
    });
}"""
KEYS = [
    *string.ascii_lowercase, *string.punctuation, " ", "Enter", "Escape", "Backspace", "Delete", "Tab", "Home", "End",
    "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "PageUp", "PageDown", "Insert", "F1", "F2",
]  # fmt: skip
SIGNS = {
    "⏎": "Enter",
    "␣": " ",
    "↑": "ArrowUp",
    "↓": "ArrowDown",
    "PgUp": "PageUp",
    "PgDn": "PageDown",
    "Esc": "Escape",
}


def check_sheet(desk: Desk) -> None:
    """The sheet names every key that the page hears, and no other."""
    heard = set(desk.page.evaluate(HEARD, KEYS))
    assert {*"txsuardvhgqweyiop?", "Enter", "Escape"} < heard
    desk.page.keyboard.press("?")
    named = desk.page.locator("#shortcuts:popover-open kbd").all_inner_texts()
    desk.page.keyboard.press("?")
    digits = {name for name in named if name.isdecimal()}
    assert digits == {"1", "8"}
    # Marked passages have their keys in a module of their own.
    assert {SIGNS.get(name, name.lower()) for name in named} - digits - {"⇧"} == heard | set("jklm")


def test_skip_with_reason_chips_aspects_and_rationale_by_keyboard(seat):
    reasons = [*SCHEME["reasons"], *"34567"]
    desk = seat(make_project(3, scheme={**SCHEME, "reasons": reasons, "spans": True})).open()
    check_sheet(desk)
    desk.page.keyboard.press("s")
    desk.press_and_move_on("3")
    desk.page.keyboard.press("w")
    desk.page.keyboard.press("r")
    desk.page.keyboard.type("2 texts, tie? x")
    assert desk.page.evaluate("document.activeElement.name") == "rationale"
    desk.page.keyboard.press("Escape")
    desk.page.click(".aspect label:has([value=left])")
    desk.press_and_move_on("2")
    desk.wait_saved()
    skipped, said = Preference.objects.order_by("pk")
    assert (skipped.outcome, skipped.skip_reason) == ("skip", "expertise")
    assert (said.rationale, said.reasons, said.strength) == ("2 texts, tie? x", ["safer"], 3)
    assert said.aspects == {"safe": said.outcome}


def test_undo_brings_the_pair_back_with_what_was_said(seat):
    project = make_project(3, scheme=SCHEME)
    desk = seat(project).open()
    first = desk.uid
    desk.page.fill(".stage [name=rationale]", "first thought")
    desk.page.keyboard.press("Escape")
    desk.press_and_move_on("1")
    second = desk.uid
    desk.page.wait_for_selector(".after form.undo")
    desk.press_and_move_on("u")
    assert desk.uid == first
    assert desk.page.input_value(".stage [name=rationale]") == "first thought"
    desk.press_and_move_on("8")
    assert desk.uid == second
    desk.wait_saved()
    rows = Preference.objects.order_by("revision")
    assert [(row.revision, row.strength) for row in rows] == [(1, 4), (2, None), (3, 4)]
    assert rows[1].outcome == "withdrawn"
    assert Comparison.objects.get(pk=rows[0].comparison_id).label_count == 1


def test_a_changed_mind_is_kept_beside_the_first_answer(seat):
    desk = seat(make_project(2)).open()
    desk.press_and_move_on("1")
    desk.page.wait_for_selector(".after .panel:not(:has(> a))")
    desk.page.click(".again > summary")
    desk.page.click(".change button[value='8']")
    desk.page.wait_for_selector(".after:has-text('change saved')")
    first, second = Preference.objects.order_by("revision")
    assert (first.after_reveal, second.after_reveal) == (False, True)
    assert first.outcome != second.outcome


def draft_sent(desk: Desk, words: str):
    """Until the server has answered a draft that holds these words."""
    return desk.page.expect_response(
        lambda answer: answer.url.endswith("/draft") and quote_plus(words) in answer.request.post_data
    )


def test_draft_survives_a_reload_and_another_browser_whose_word_then_counts(seat):
    project = make_project(2, scheme={**SCHEME, "spans": True})
    labeler = make_labeler(project)
    desk = seat(project, labeler).open()
    uid = desk.uid
    desk.page.fill(".stage [name=rationale]", "半句话 so far")
    desk.page.keyboard.press("Escape")
    desk.page.keyboard.press("j")
    desk.page.keyboard.press("m")
    with draft_sent(desk, "safer"):
        desk.page.click(".stage .chip:has-text('safer')")
    desk.page.reload()
    desk.ready()
    other = seat(project, labeler).open()
    for where in (desk, other):
        assert where.uid == uid
        assert where.page.input_value(".stage [name=rationale]") == "半句话 so far"
        assert where.page.is_checked(".stage [name=reasons][value=safer]")
        assert where.page.locator(".stage .mark").count() == 1
    other.page.click(".stage .mark button")
    with draft_sent(other, "to its end"):
        other.page.fill(".stage [name=rationale]", "整句话 to its end")
    desk.page.reload()
    desk.ready()
    assert desk.why == "整句话 to its end"
    assert desk.page.locator(".stage .mark").count() == 0


def test_a_required_rationale_is_asked_for_and_enter_saves(seat):
    desk = seat(make_project(2, scheme={"rationale": "required"})).open()
    first = desk.uid
    desk.page.keyboard.press("2")
    desk.page.wait_for_selector(".dock-error:visible")
    assert desk.uid == first
    desk.page.keyboard.type("because it answers")
    desk.press_and_move_on("Enter")
    desk.wait_saved()
    row = Preference.objects.get()
    assert (row.rationale, row.strength) == ("because it answers", 3)


def label_in_turns(desks) -> Counter:
    """Each person answers once in turn until nothing is left for anybody; counts who had which comparison."""
    had: Counter = Counter()
    while any(desk.uid for desk in desks):
        for desk in desks:
            if desk.uid:
                had[(desk.labeler.pk, Assignment.objects.get(uid=desk.uid).comparison_id)] += 1
                desk.press_and_move_on("3")
                desk.wait_saved()
        for desk in desks:
            if not desk.uid:
                desk.open()
    return had


@pytest.mark.parametrize("overlap", [1, 2])
def test_two_browsers_never_share_beyond_overlap(seat, overlap):
    project = make_project(7, overlap=overlap, random_share=0.3)
    desks = [seat(project).open(), seat(project).open()]
    had = label_in_turns(desks)
    assert set(had.values()) == {1}
    people_of = Counter(comparison for _labeler, comparison in had)
    assert set(people_of.values()) == {overlap}
    assert len(people_of) == 7
    assert set(Comparison.objects.values_list("state", "label_count")) == {("done", overlap)}


def test_a_cut_network_loses_nothing_and_is_replayed_once(seat):
    desk = seat(make_project(4)).open()
    desk.page.context.set_offline(True)
    desk.press_and_move_on("1")
    desk.page.keyboard.press("8")
    desk.page.wait_for_selector("[data-net].warn")
    assert not Preference.objects.exists()
    desk.page.context.set_offline(False)
    desk.wait_saved()
    assert [row.strength for row in Preference.objects.order_by("comparison__pk")] == [4, 4]
    assert Comparison.objects.filter(label_count=1).count() == 2
    desk.page.wait_for_selector(".stage .pair-view")


def test_an_answer_whose_response_was_cut_is_one_row(seat):
    desk = seat(make_project(3)).open()
    tries = []

    def cut_the_first(route):
        tries.append(route.request.headers["idempotency-key"])
        if len(tries) == 1:
            route.fetch()
            route.abort("connectionreset")
        else:
            route.continue_()

    desk.page.route("**/submit", cut_the_first)
    desk.press_and_move_on("2")
    desk.wait_saved()
    assert len(tries) == 2
    assert tries[0] == tries[1]
    assert Preference.objects.count() == 1


def test_an_answer_that_the_server_never_acknowledges_is_sent_again(seat):
    desk = seat(make_project(3))
    desk.page.add_init_script(
        "const wait = AbortSignal.timeout; AbortSignal.timeout = (ms) => wait(ms / 40);"
    )
    desk.open()
    left_waiting = []
    desk.page.route(
        "**/submit", lambda route: route.continue_() if left_waiting else left_waiting.append(route)
    )
    desk.press_and_move_on("1")
    desk.wait_saved()
    assert len(left_waiting) == 1
    assert Preference.objects.get().strength == 4


@pytest.mark.parametrize("ending", ["open", "cut"])
def test_undo_of_an_answer_whose_arrival_is_unknown_withdraws_it(seat, ending):
    desk = seat(make_project(3)).open()
    first = desk.uid
    stored = []

    def keep_the_first_answer(route):
        if stored:
            return route.continue_()
        stored.append(route.fetch())  # and the browser never hears of it
        return route.abort("connectionreset") if ending == "cut" else None

    desk.page.route("**/submit", keep_the_first_answer)
    desk.press_and_move_on("1")
    if ending == "cut":
        desk.page.wait_for_selector("[data-net].warn")
    desk.press_and_move_on("u")
    assert desk.uid == first
    rows = Preference.objects.order_by("revision")
    assert [row.outcome for row in rows][1:] == ["withdrawn"]
    assert Comparison.objects.get(pk=rows[0].comparison_id).label_count == 0


def test_an_undo_and_a_change_without_an_answer_say_so_and_can_be_tried_again(seat):
    desk = seat(make_project(3)).open()
    first = desk.uid
    desk.press_and_move_on("1")
    desk.page.wait_for_selector(".after form.undo")
    desk.page.route("**/undo", lambda route: route.abort())
    desk.page.route("**/change", lambda route: route.abort())
    desk.page.click(".again > summary")
    desk.page.click(".change button[value='8']")
    desk.page.wait_for_selector(".change p:text-is('No answer from the server; try again.')")
    desk.page.keyboard.press("u")
    desk.page.wait_for_selector("form.undo .countdown:text-is('No answer from the server; try again.')")
    desk.page.unroute("**/undo")
    desk.press_and_move_on("u")
    assert desk.uid == first
    assert [row.outcome for row in Preference.objects.order_by("revision")][1:] == ["withdrawn"]


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_copy_says_so_only_where_something_was_copied(seat, has_clipboard):
    desk = seat(make_project(1), permissions=["clipboard-read", "clipboard-write"])
    if not has_clipboard:
        desk.page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    desk.open()
    shown = desk.page.inner_text(".stage .response .text")
    desk.page.click(".stage .response [data-tool=copy]")
    if has_clipboard:
        desk.page.wait_for_selector(".stage [data-tool=copy].ok")
        assert desk.page.evaluate("navigator.clipboard.readText()") == shown
    else:
        desk.page.wait_for_function("getSelection().toString() !== ''")
        assert desk.page.evaluate("getSelection().toString()").strip() == shown
        assert desk.page.query_selector("[data-tool=copy].ok") is None
    assert desk.problems == []


def test_a_closed_tab_sends_its_answer_when_it_is_opened_again(seat):
    desk = seat(make_project(3)).open()
    desk.page.route("**/submit", lambda route: route.abort())
    first = desk.uid
    desk.press_and_move_on("2")
    desk.page.wait_for_selector("[data-net].warn")
    desk.page.unroute("**/submit")
    desk.open()
    assert desk.uid != first
    desk.wait_saved()
    assert Preference.objects.get().strength == 3


def test_an_expired_session_keeps_the_answer_until_the_next_log_in(seat):
    desk = seat(make_project(3)).open()
    Session.objects.all().delete()
    desk.press_and_move_on("7")
    desk.page.wait_for_selector("[data-net].warn:has-text('logged out')")
    assert not Preference.objects.exists()
    desk.page.context.add_cookies([session_cookie(desk.labeler, desk.url)])
    desk.open()
    desk.wait_saved()
    assert Preference.objects.get().strength == 3


def test_a_lost_lease_is_told_before_the_answer_and_after_it_with_the_own_words(seat):
    project = make_project(3, scheme=SCHEME)
    desk = seat(project).open()
    waiting = Assignment.objects.filter(labeler=desk.labeler).latest("pk")
    Assignment.objects.filter(pk=waiting.pk).update(lease_expires_at=timezone.now())
    release_expired()
    (theirs,) = lease_next(make_labeler(project), count=1)
    assert theirs.comparison_id == waiting.comparison_id
    preference_submit(assignment=theirs, data={"choice": "1"}, idempotency_key="theirs")
    desk.press_and_move_on("2")
    assert desk.uid == str(waiting.uid)
    desk.page.wait_for_selector(".dock-error:has-text('Your time for this comparison has run out.')")
    desk.page.fill(".stage [name=rationale]", "我自己的话 and mine")
    desk.page.keyboard.press("Escape")
    desk.press_and_move_on("7")
    note = desk.page.locator(".lost")
    note.wait_for(state="visible")
    assert "somebody else has finished it since" in note.inner_text()
    assert note.locator("blockquote").inner_text() == "我自己的话 and mine"
    assert Preference.objects.filter(labeler=desk.labeler).count() == 1
    assert Comparison.objects.get(pk=waiting.comparison_id).label_count == 1


def test_hostile_texts_run_nothing_and_violate_no_policy(seat):
    project = make_project(2)
    hostile = (
        "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>"
        "[x](javascript:window.pwned=1) ![x](https://evil.example/x.png) "
        "$\\text{<svg onload=window.pwned=1>}$\n\n"
        "```html\n<script>window.pwned=1</script>\n```\n\n| a |\n|:-:|\n| <b onclick=window.pwned=1>x</b> |\n"
    )
    for number, row in enumerate(Response.objects.all()):
        Response.objects.filter(pk=row.pk).update(text=f"{hostile}{number}")
    desk = seat(project)
    asked = []
    desk.page.on("request", lambda request: asked.append(request.url))
    desk.open()
    for key in ("d", "g", "Escape", "?", "Escape"):
        desk.page.keyboard.press(key)
    desk.press_and_move_on("2")
    desk.page.wait_for_selector(".after .voice-list")
    assert desk.page.evaluate("window.pwned") is None
    assert desk.violations() == []
    assert desk.problems == []
    assert {url for url in asked if not url.startswith(desk.url)} == set()


def test_it_works_without_a_script(seat):
    desk = seat(make_project(2, scheme=SCHEME), java_script_enabled=False)
    desk.page.goto(f"{desk.url}/projects/{desk.labeler.project.slug}/label/")
    first = desk.uid
    desk.page.fill(".stage [name=rationale]", "no script")
    desk.page.click(".stage [name=choice][value='7']")
    assert desk.uid != first
    desk.page.click(".after form.undo button")
    assert desk.uid == first
    desk.page.click(".stage .skip summary")
    desk.page.click(".stage [name=skip_reason][value=broken]")
    assert [row.outcome for row in Preference.objects.order_by("revision")][1:] == ["withdrawn", "skip"]


def test_a_second_tab_is_told_in_sight_that_its_answer_was_not_kept(seat):
    project = make_project(4)
    Response.objects.update(text="word " * 4000)  # nothing below the pair can be seen
    first = seat(project)
    second = first.page.context.new_page()
    first.open()
    second.goto(first.page.url)
    second.wait_for_selector("html[data-ready=label]")
    first.press_and_move_on("2")
    first.wait_saved()
    second.keyboard.press("7")
    note = second.locator(".lost")
    note.wait_for(state="visible")
    assert "That answer stands" in note.inner_text()
    assert 0 <= note.bounding_box()["y"] < 200
    note.get_by_role("button").click()
    assert not note.is_visible()
    assert Preference.objects.count() == 1
