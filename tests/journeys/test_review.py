"""Review in a real browser: five cases by the keyboard alone, and a case sent back to the one who answered."""

from __future__ import annotations

import pytest

from labeling.models import Adjudication, Comment, Comparison, Preference, Role
from tests.journeys.label_desk import sit_down
from tests.journeys.test_label_texts import HIGHLIGHTED, SEEN, texts
from tests.labeling.label.factories import make_labeler, make_project
from tests.labeling.review.factories import answers, kinds, voice

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def seat(web_process, chromium):
    """`seat(labeler)`: a member at a browser of their own."""
    site = web_process()
    contexts = []

    def seat_of(labeler, **options):
        desk = sit_down(chromium, labeler, site.url, **options)
        contexts.append(desk.page.context)
        return desk

    yield seat_of
    for context in contexts:
        context.close()


def disputed(pairs: int):
    """Each pair has one vote for either side, the first ones with the highest priority."""
    project = make_project(pairs, overlap=2)
    for _ in range(pairs):
        answers(project, "2", "7")
    return project


def go(desk, path: str) -> None:
    desk.page.goto(f"{desk.url}/projects/{desk.labeler.project.slug}/{path}")


def number_of(desk) -> int:
    desk.page.wait_for_selector(".desk-dock")
    return int(desk.page.url.split("/review/")[1].split("/")[0])


def test_five_cases_by_the_keyboard_alone(seat):
    project = disputed(5)
    voice(Comparison.objects.filter(project=project).order_by("pk").first(), "b", 0.2)
    reviewer = make_labeler(project, role=Role.REVIEWER)
    desk = seat(reviewer)
    page = desk.page
    page.add_init_script(
        "window.pointed = 0; for (const kind of ['mousedown', 'pointerdown', 'touchstart'])"
        " addEventListener(kind, () => { window.pointed += 1; }, true);"
    )
    go(desk, "review/?kind=people")
    page.focus("a.primary[href*='/review/']")
    page.keyboard.press("Enter")
    seen = []
    for key in ("6", "1", "t", "x", "4"):
        seen.append(number_of(desk))
        page.keyboard.press(key)
        page.keyboard.type("这个回答 names the source")
        before = page.url
        page.keyboard.press("Enter")
        page.wait_for_function("before => location.href !== before", arg=before)
    page.wait_for_selector(".card.empty")
    assert seen == sorted(set(seen))
    rows = Adjudication.objects.order_by("pk").values_list("comparison_id", "outcome", "strength")
    said = [("b", 2), ("a", 4), ("tie", None), ("both_bad", None), ("a", 1)]
    assert list(rows) == [(pk, *what) for pk, what in zip(seen, said, strict=True)]
    assert page.evaluate("window.pointed") == 0
    assert desk.violations() == []
    assert desk.problems == []


def test_looking_around_commenting_and_forgetting_the_reason(seat):
    project = disputed(2)
    desk = seat(make_labeler(project, role=Role.REVIEWER))
    page = desk.page
    go(desk, f"review/{Comparison.objects.order_by('pk').first().pk}/?kind=people")
    first = number_of(desk)
    page.keyboard.press("j")
    page.wait_for_url(f"**/review/{first + 1}/**")
    page.keyboard.press("k")
    page.wait_for_url(f"**/review/{first}/**")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    assert "Say why" in page.text_content(".desk-hint:not([hidden])")
    page.keyboard.type("Half a reason")
    page.reload()
    assert page.input_value("textarea[name=reason]") == "Half a reason"
    page.keyboard.press("h")
    assert page.is_visible(".timeline")
    page.keyboard.press("c")
    page.keyboard.type("@nobody is this right?")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".comments li")
    assert Comment.objects.get().text == "@nobody is this right?"
    assert Adjudication.objects.count() == 0
    assert desk.problems == []


def test_differences_in_words_on_the_desk_and_on_the_comparisons_own_page(seat):
    project = make_project(1, overlap=2)
    answers(project, "2", "7")
    long = " Some words of it. " * 300
    texts(project, f"{long}我们研究生命的起源。", f"{long}我们研究生命的意义。")
    desk = seat(make_labeler(project, role=Role.REVIEWER), viewport={"width": 1440, "height": 900})
    go(desk, f"review/{Comparison.objects.get().pk}/")
    number_of(desk)
    desk.page.keyboard.press("d")
    assert desk.page.evaluate(HIGHLIGHTED) == [["起源"], ["意义"]]
    assert desk.page.evaluate(SEEN)
    assert desk.page.locator("[data-tool=diff][aria-pressed=true]").count() == 2
    desk.page.locator("[data-tool=diff]").first.click()
    assert desk.page.evaluate(HIGHLIGHTED) == [[], []]
    go(desk, f"comparisons/{Comparison.objects.get().pk}/")
    desk.page.locator("[data-tool=diff]").last.click()
    assert desk.page.evaluate(HIGHLIGHTED) == [["起源"], ["意义"]]
    assert desk.problems == []


def test_sent_back_by_name_it_comes_to_that_person_next(seat):
    project = make_project(2, overlap=1)
    answers(project, "2")
    first = Comparison.objects.order_by("pk").first()
    asked = make_labeler(project)
    reviewer = seat(make_labeler(project, role=Role.REVIEWER))
    go(reviewer, f"review/{first.pk}/")
    number_of(reviewer)
    reviewer.page.keyboard.press("b")
    member = project.memberships.get(user=asked.user)
    reviewer.page.check(f".back-menu input[name=people][value='{member.pk}']")
    reviewer.page.click(".back-menu button[value=named]")
    reviewer.page.wait_for_selector(".messages .ok")
    desk = seat(asked).open()
    assert asked.assignments.get(uid=desk.uid).comparison == first
    desk.press_and_move_on("1")
    desk.wait_saved()
    go(reviewer, f"comparisons/{first.pk}/")
    assert f"sent it back to {asked.name}" in reviewer.page.text_content(".timeline")
    assert reviewer.problems == desk.problems == []


def test_sent_back_to_the_same_person_who_changes_the_answer(seat):
    project = make_project(1, overlap=2)
    _first, second = answers(project, "2", "7")
    reviewer = seat(make_labeler(project, role=Role.REVIEWER))
    go(reviewer, f"review/{Comparison.objects.get().pk}/")
    number_of(reviewer)
    reviewer.page.keyboard.press("b")
    reviewer.page.fill(".back-menu textarea", "Please read the second one again.")
    reviewer.page.click(".back-menu button[value=same]")
    reviewer.page.wait_for_selector(".messages .ok")
    assert kinds(Comparison.objects.get()) == {"sent_back": 1.0}
    desk = seat(second, viewport={"width": 390, "height": 844})
    desk.page.goto(f"{desk.url}/notices/")
    desk.page.click("table form button")
    desk.page.wait_for_selector(".again-note")
    assert "Please read the second one again." in desk.page.text_content(".again-note")
    lease = second.assignments.get()
    desk.page.click(f".change button[value='{'7' if lease.swapped else '2'}']")
    desk.page.wait_for_url("**/label/")
    row = Preference.objects.filter(labeler=second).latest("revision")
    assert (row.outcome, row.after_reveal) == ("a", True)
    assert kinds(Comparison.objects.get()) == {}
    assert reviewer.problems == desk.problems == []
