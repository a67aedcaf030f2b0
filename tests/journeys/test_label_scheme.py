"""What a project's scheme asks for, met at the label page: bars of aspects, reasons and rationale when they matter."""

from __future__ import annotations

import pytest

from labeling.models import Preference, Role
from tests.labeling.label.factories import make_labeler, make_project

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
SCHEME = {
    "steps": 6,
    "aspects": [{"key": "safe", "name": "Safe", "steps": 4}, {"key": "true", "name": "True"}],
    "reasons": ["clearer", "safer"],
    "reasons_rule": "when",
    "rationale": "when",
    "ask_when": ["strong", "contradiction"],
}


def test_a_strong_vote_must_say_why_and_a_weak_one_need_not(seat):
    desk = seat(make_project(3, scheme=SCHEME)).open()
    desk.press_and_move_on("3")
    first = desk.uid
    desk.page.keyboard.press("7")  # no such step
    desk.page.keyboard.press("6")
    desk.page.wait_for_selector(".dock-error:visible")
    assert desk.page.evaluate("document.activeElement.name") == "rationale"
    desk.page.keyboard.type("because")
    desk.page.keyboard.press("Enter")
    desk.page.wait_for_function("() => document.activeElement.name === 'reasons'")
    assert desk.uid == first
    desk.page.keyboard.press("w")
    desk.press_and_move_on("Enter")
    desk.wait_saved()
    weak, strong = Preference.objects.order_by("pk")
    assert (weak.strength, weak.rationale, weak.reasons) == (2, "", [])
    assert (strong.strength, strong.rationale, strong.reasons) == (4, "because", ["safer"])
    assert desk.problems == []


def test_each_aspect_has_its_bar_by_keyboard_and_a_contradiction_is_asked_about(seat):
    desk = seat(make_project(2, scheme=SCHEME)).open()
    keys = desk.page.keyboard
    keys.press("a")
    for _ in range(3):
        keys.press("ArrowRight")  # from the first of "1 2 = 3 4" to "3": B slightly better
    keys.press("a")
    keys.press("Space")  # the left side
    assert desk.page.evaluate("document.activeElement.value") == "left"
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    first = desk.uid
    keys.press("2")
    desk.page.wait_for_selector(".dock-error:visible")
    assert desk.uid == first
    keys.press("Escape")
    desk.press_and_move_on("5")
    desk.wait_saved()
    row = Preference.objects.get()
    assert row.aspects == {"safe": row.outcome, "true": row.outcome}
    assert (row.strength, row.aspect_strengths) == (3, {"safe": 2})


def test_a_changed_mind_is_asked_why_by_the_same_rule(seat):
    desk = seat(make_project(2, scheme=SCHEME)).open()
    desk.press_and_move_on("2")
    desk.page.click(".again > summary")
    assert desk.page.locator(".again .response").count() == 2  # the texts come from the page itself
    desk.page.click(".change button[value='1']")
    desk.page.wait_for_selector(".change p:has-text('asks for a rationale')")
    desk.page.fill(".change [name=rationale]", "on second thoughts")
    desk.page.click(".change .chip:has-text('clearer')")
    desk.page.click(".change button[value='1']")
    desk.page.wait_for_selector(".after:has-text('change saved')")
    assert desk.page.locator(".again .response").count() == 2
    row = Preference.objects.latest("revision")
    assert (row.strength, row.rationale, row.reasons) == (4, "on second thoughts", ["clearer"])


def test_the_settings_show_the_dock_while_its_scheme_is_written(seat):
    project = make_project(1, scheme=SCHEME)
    desk = seat(project, make_labeler(project, role=Role.MANAGER))
    page = desk.page
    page.goto(f"{desk.url}/projects/{project.slug}/settings/")
    shown = page.locator("#dock-preview")
    assert shown.locator(".steps button").count() == 6
    page.select_option("[name=steps]", "4")
    page.wait_for_function("() => document.querySelectorAll('#dock-preview .steps button').length === 4")
    page.fill("[name=aspects]", "kind: Kinder")
    page.wait_for_selector("#dock-preview legend:text-is('Kinder')")
    page.fill("[name=aspects]", "kind: Kinder: 7")
    page.wait_for_selector("#dock-preview .note:has-text('2, 4, 6 or 8 steps')")
    page.fill("[name=aspects]", "")
    page.wait_for_selector("#dock-preview .chip:has-text('clearer')")
    project.refresh_from_db()
    assert project.scheme == SCHEME
    page.click("form.card button.primary")
    page.wait_for_selector(".messages .ok")
    project.refresh_from_db()
    assert (project.scheme["steps"], project.scheme["aspects"]) == (4, [])
    assert desk.violations() == []
    assert desk.problems == []
