"""Ranking in a real browser: by keys alone, by dragging, on a phone, with a cut network; rewriting and marking."""

from __future__ import annotations

import pytest

from labeling.models import Preference, Ranking, RankingTask, Response
from tests.journeys.label_desk import sit_down
from tests.labeling.ranking.builders import SCHEME, add_prompt, make_labeler, ranking_project, said

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def seat(web_process, chromium):
    """`seat(labeler, page, **context options)`: a person at a browser of their own, on that page of the project."""
    site = web_process()
    contexts = []

    def seat_of(labeler, where="rank", **options):
        desk = sit_down(chromium, labeler, site.url, **options)
        contexts.append(desk.page.context)
        desk.page.goto(f"{site.url}/projects/{labeler.project.slug}/{where}/")
        desk.page.wait_for_selector(f"html[data-ready={where}]")
        return desk

    yield seat_of
    for context in contexts:
        context.close()


def with_prompts(*counts: int):
    project = ranking_project(scheme={**SCHEME, "reasons": ["wrong"]})
    for number, count in enumerate(counts):
        add_prompt(project, count, priority=-number)
    return make_labeler(project)


def saved(desk) -> None:
    """Until the page has come back with what was saved."""
    desk.page.wait_for_selector("html[data-ready=rank] .after-ranking form.undo:not([hidden])")


def test_a_ranking_by_keyboard_alone_with_a_tie_and_undo(seat):
    labeler = with_prompts(4, 3)
    desk = seat(labeler)
    keys = desk.page.keyboard
    desk.page.evaluate(
        "for (const kind of ['mousedown', 'pointerdown', 'click']) addEventListener(kind, e => e.isTrusted && e.detail"
        " && violations.push(kind), true)"
    )
    for key in ["1", "2", "2", "3", "r"]:
        keys.press(key)
    keys.type("B and C say the same.")
    keys.press("Enter")
    desk.page.wait_for_function("() => document.querySelectorAll('.cards .response').length === 3")
    saved(desk)
    task = RankingTask.objects.get(state="submitted")
    assert list(said(task).values()) == [">", ">", ">", "=", ">", ">"]
    row = Ranking.objects.get()
    assert row.rationale == "B and C say the same."
    assert 0 < row.duration_ms < 60_000
    keys.press("u")
    desk.page.wait_for_function("() => document.querySelectorAll('.cards .response').length === 4")
    assert said(task) == {}
    assert desk.page.input_value("[name=place-D]") == "3"
    keys.press("d")
    keys.press("[")
    keys.press("a")
    keys.press("0")
    keys.press("Enter")
    desk.page.wait_for_function("() => document.querySelectorAll('.cards .response').length === 3")
    assert said(task) == {(1, 2): "=", (1, 3): "=", (2, 3): "="}
    assert desk.violations() == []
    assert desk.problems == []


def drag(page, letter: str, place: str) -> None:
    start = page.locator(f".token[data-letter={letter}]").bounding_box()
    end = page.locator(f'.zone[data-place="{place}"]').bounding_box()
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(start["x"], start["y"] - 10, steps=3)
    page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] - 8, steps=6)
    page.mouse.up()


def test_a_ranking_by_dragging_letters(seat):
    labeler = with_prompts(3)
    desk = seat(labeler)
    for letter, place in [("C", "1"), ("A", "2"), ("B", "2"), ("A", "")]:
        drag(desk.page, letter, place)
    assert [desk.page.input_value(f"[name=place-{letter}]") for letter in "ABC"] == ["", "2", "1"]
    desk.page.wait_for_function(
        "() => document.querySelector('.zone[data-place=\"1\"] .token').dataset.letter === 'C'"
    )
    desk.page.click("button.save")
    saved(desk)
    assert said(RankingTask.objects.get()) == {(1, 2): "<"}
    assert (desk.violations(), desk.problems) == ([], [])


def test_on_a_phone_by_taps_and_nothing_is_wider_than_the_screen(seat):
    labeler = with_prompts(8)
    Response.objects.update(text="\n\n".join(["A longer answer, which wraps. " * 9] * 3))
    desk = seat(labeler, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = desk.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for number, letter in enumerate("HGFEDCBA", start=1):
        page.tap(f".token[data-letter={letter}]")
        page.tap(f'.zone[data-place="{number}"]')
    sizes = page.eval_on_selector_all(".token", "all => all.map(one => one.getBoundingClientRect().height)")
    assert min(sizes) >= 44
    page.tap("button.save")
    saved(desk)
    assert Preference.objects.count() == 28
    assert set(said(RankingTask.objects.get()).values()) == {"<"}


def test_a_cut_network_loses_nothing_and_doubles_nothing(seat):
    labeler = with_prompts(3, 3)
    desk = seat(labeler)
    context = desk.page.context
    for key in "213":
        desk.page.keyboard.press(key)
    context.set_offline(True)
    desk.page.keyboard.press("Enter")
    desk.page.wait_for_selector(".dock-error:not([hidden])")
    assert [desk.page.input_value(f"[name=place-{letter}]") for letter in "ABC"] == ["2", "1", "3"]
    context.set_offline(False)  # and it is sent by itself
    saved(desk)
    assert Ranking.objects.count() == 1
    assert Preference.objects.count() == 3


def test_a_draft_is_there_after_a_reload(seat):
    labeler = with_prompts(4)
    desk = seat(labeler)
    with desk.page.expect_response(lambda answer: answer.url.endswith("/draft")):
        desk.page.keyboard.press("3")
    desk.page.reload()
    desk.page.wait_for_selector("html[data-ready=rank]")
    assert desk.page.input_value("[name=place-A]") == "3"


def test_rewriting_a_response_and_taking_it_back(seat):
    labeler = with_prompts(2)
    desk = seat(labeler, "label")
    page, sent = desk.page, []
    page.on(
        "request", lambda request: "/rewrite" in request.url and sent.append(request.url.rsplit("/", 1)[-1])
    )
    page.click(".rewrite.b summary")
    page.keyboard.press("End")
    page.fill(".rewrite.b textarea", "A better answer by hand.")
    page.click(".rewrite.b [data-keep]")
    page.wait_for_selector(".rewrite.b [data-take-back]:not([hidden])")
    child = Response.objects.get(parent__isnull=False)
    assert (child.text, child.author) == ("A better answer by hand.", labeler)
    assert Preference.objects.get().outcome in ("a", "b")
    page.click(".rewrite.b [data-take-back]")
    page.wait_for_selector(".rewrite.b [data-keep]:not([hidden])")
    assert Preference.objects.order_by("pk").last().outcome == "withdrawn"
    assert sent[sent.index("rewrite") :][:2] == ["rewrite", "undo"]  # no draft of what is kept
    page.reload()
    page.wait_for_selector("html[data-ready=label]")
    page.click(".rewrite.b summary")
    page.wait_for_function(
        "() => document.querySelector('.rewrite.b textarea').value === 'A better answer by hand.'"
    )
    assert desk.violations() == []


SELECT = """([selector, start, end]) => {
  const walker = document.createTreeWalker(document.querySelector(selector), NodeFilter.SHOW_TEXT);
  let node = walker.nextNode();
  while (!node.data.trim()) node = walker.nextNode();
  const range = new Range();
  range.setStart(node, start);
  range.setEnd(node, end);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}"""


def test_marking_a_passage_by_selection_and_key(seat):
    labeler = with_prompts(2)
    Response.objects.update(text="One two one **two** one two.")
    desk = seat(labeler, "label")
    page = desk.page
    page.keyboard.press("m")
    assert "Select some words" in page.text_content("[data-hint]")
    page.evaluate(SELECT, [".response.a .text", 4, 12])
    page.wait_for_timeout(50)
    with page.expect_response(lambda answer: answer.url.endswith("/draft")):
        page.keyboard.press("m")
    assert page.text_content(".mark q") == "two one"
    assert page.evaluate("[...CSS.highlights.get('mark-a')].map(String)") == ["two one"]
    with page.expect_response(lambda answer: answer.url.endswith("/draft")):
        page.select_option(".mark select", "wrong")
    page.reload()
    page.wait_for_selector("html[data-ready=label] .mark q")
    page.keyboard.press("2")
    desk.wait_saved()
    page.wait_for_selector("html[data-ready=label] [data-nothing]")
    row = Preference.objects.select_related("comparison").get()
    assert row.spans == [{"response": row.shown_left_id, "quote": "two one", "nth": 0, "reason": "wrong"}]
    assert desk.violations() == []


def test_marking_passages_by_the_keyboard_alone(seat):
    """By sentences, Chinese ones too, from a radio button as from anywhere."""
    project = ranking_project(scheme={**SCHEME, "aspects": [{"key": "safe", "name": "Safe"}]})
    add_prompt(project, 2)
    Response.objects.update(text="你好。**第二**句话！他说：“再见。”\n\n- Costs 3.5 m, e.g. this.\n- The end")
    desk = seat(make_labeler(project), "label")
    page, keys = desk.page, desk.page.keyboard
    page.evaluate(
        "for (const kind of ['mousedown', 'pointerdown', 'click']) addEventListener(kind, e => e.isTrusted && e.detail"
        " && violations.push(kind), true)"
    )
    read = []
    for _sentence in range(6):
        keys.press("j")
        read.append(page.evaluate("String(getSelection())"))
    first = ["你好。", "第二句话！", "他说：“再见。”", "Costs 3.5 m, e.g. this.", "The end"]
    assert read == [*first, first[0]]  # and on to the other response
    keys.press("m")
    keys.press("k")
    keys.press("k")
    keys.press("a")
    keys.press("ArrowRight")
    keys.press("m")
    keys.press("l")
    keys.press("j")
    assert page.text_content("[data-spoken]") == "第二句话！"
    keys.press("m")
    assert page.locator(".mark q").all_text_contents() == ["你好。", first[3], "第二句话！"]
    assert desk.violations() == []
    keys.press("2")
    desk.wait_saved()
    row = Preference.objects.get()
    left, right = row.shown_left_id, {row.comparison.response_a_id, row.comparison.response_b_id}
    (right,) = right - {left}
    assert [(span["response"], span["quote"]) for span in row.spans] == [
        (right, "你好。"),
        (left, first[3]),
        (right, "第二句话！"),
    ]
    assert desk.problems == []
