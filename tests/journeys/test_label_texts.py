"""Reading two texts side by side: differences in words, scrolling together. And the rule of why, in the browser."""

from __future__ import annotations

import random

import pytest

from labeling.models import Comparison, Prompt, Response
from tests.labeling.label.factories import make_project
from tests.labeling.label.test_scheme import WHY, scheme_of

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
LONG = "\n\n".join(f"Paragraph {number}. " + "Some words of it. " * 12 for number in range(40))
VERY_LONG = "\n\n".join([LONG] * 3)  # some 9,000 words and stops
HIGHLIGHTED = """() => ["diff-a", "diff-b"].map(name =>
    [...(CSS.highlights.get(name) ?? [])].map(range => range.toString()))"""


def texts(project, left: str, right: str, *, side: str = "a") -> None:
    """Give the project's only pair these texts, against its responses."""
    comparison = Comparison.objects.get(project=project)
    Response.objects.filter(pk=comparison.response_a_id).update(text=left)
    Response.objects.filter(pk=comparison.response_b_id).update(text=right)


def lcs_length(left: list[str], right: list[str]) -> int:
    """The slow way: the table of all prefixes."""
    above = [0] * (len(right) + 1)
    for word in left:
        row = [0]
        for i, other in enumerate(right):
            row.append(above[i] + 1 if word == other else max(above[i + 1], row[i]))
        above = row
    return above[-1]


def test_what_differs_is_all_but_the_longest_common_subsequence(seat):
    desk = seat(make_project(1)).open()
    draw = random.Random(7)
    words = ["the", "a", "cat", "sat", "研究", "生命", "的", "。", "起源"]
    pairs = [
        [[draw.choice(words[: draw.randint(1, 9)]) for _ in range(draw.randint(0, 30))] for _ in "ab"]
        for _ in range(200)
    ]
    found = desk.page.evaluate(
        """async pairs => {
            const { changed } = await import("/static/js/label/diff.js");
            const tokens = words => words.map((text, at) => ({ text, at }));
            const places = side => side.map(({ at }) => at);
            return pairs.map(([left, right]) => changed(tokens(left), tokens(right)).map(places));
        }""",
        pairs,
    )
    for (left, right), (removed, added) in zip(pairs, found, strict=True):
        kept = [word for at, word in enumerate(left) if at not in removed]
        assert kept == [word for at, word in enumerate(right) if at not in added]
        assert len(kept) == lcs_length(left, right)
        assert len(set(removed)) == len(removed)
        assert len(set(added)) == len(added)


def test_texts_too_far_apart_differ_by_sentences_and_then_as_a_whole(seat):
    desk = seat(make_project(1)).open()
    found = desk.page.evaluate(
        """async () => {
            const { changed } = await import("/static/js/label/diff.js");
            const tokens = text => [...text].map(text => ({ text }));
            const joined = side => side.map(({ text }) => text).join("");
            const [left, right] = ["xa.同じ。bc!dy", "xA.同じ。BC!dY"].map(tokens);
            return [8, 7, 6, 5].map(edits => changed(left, right, edits).map(joined));
        }"""
    )
    by_sentences = ["a.bc!dy", "A.BC!dY"]
    assert found == [["abcy", "ABCY"], by_sentences, by_sentences, ["a.同じ。bc!dy", "A.同じ。BC!dY"]]


def test_chinese_differs_by_words_and_spaces_by_nothing(seat):
    project = make_project(1)
    texts(project, "我们在**北京大学**研究生命的起源。", "我们在**清华大学** 研究生命的意义。")
    desk = seat(project).open()
    desk.page.keyboard.press("d")
    left, right = desk.page.evaluate(HIGHLIGHTED)
    if "".join(left).startswith("我们"):  # as shown
        pytest.fail(f"equal words are highlighted: {left}")
    said = {"".join(left), "".join(right)}
    assert said == {"北京大学起源", "清华大学意义"} or said == {"北京起源", "清华意义"}
    assert all(len(word) > 1 for word in left + right), (left, right)
    desk.page.keyboard.press("d")
    assert desk.page.evaluate(HIGHLIGHTED) == [[], []]
    assert desk.problems == []


def test_differences_work_without_the_browsers_word_list(seat):
    project = make_project(1)
    texts(project, "研究起源 of life", "研究意义 of death")
    desk = seat(project)
    desk.page.add_init_script("delete Intl.Segmenter")
    desk.open()
    desk.page.keyboard.press("d")
    found = sorted("".join(side) for side in desk.page.evaluate(HIGHLIGHTED))
    assert found == sorted(["起源life", "意义death"])


# Whether the first difference of either text can be seen: in its pane, and above what lies at the bottom.
SEEN = """() => {
    const [first] = [...CSS.highlights.get("diff-a"), ...CSS.highlights.get("diff-b")];
    const { top, bottom } = first.getBoundingClientRect();
    const pane = first.startContainer.parentElement.closest(".text").getBoundingClientRect();
    const dock = document.querySelector(".dock, .desk-dock").getBoundingClientRect().top;
    return top >= Math.max(pane.top, 0) && bottom <= Math.min(pane.bottom, dock);
}"""


@pytest.mark.parametrize("width", [1440, 390])
def test_differences_far_down_are_scrolled_to(seat, width):
    project = make_project(1)
    texts(project, VERY_LONG + " The end is sugar.\n\n" + LONG, VERY_LONG + " The end is salt.\n\n" + LONG)
    desk = seat(project, viewport={"width": width, "height": 900}).open()
    assert desk.page.locator(".stage .pair.panes").count() == (width == 1440)
    desk.page.keyboard.press("d")
    assert sorted(desk.page.evaluate(HIGHLIGHTED)) == [["salt"], ["sugar"]]
    assert desk.page.evaluate(SEEN)
    desk.page.keyboard.press("d")
    assert desk.page.evaluate(HIGHLIGHTED) == [[], []]
    assert desk.problems == []


def test_a_difference_that_is_seen_moves_nothing(seat):
    project = make_project(1)
    texts(project, "Sugar. " + LONG, "Salt. " + LONG)
    desk = seat(project, viewport={"width": 1440, "height": 900}).open()
    desk.page.keyboard.press("d")
    assert desk.page.evaluate(SEEN)
    assert (desk.page.evaluate("scrollY"), tops(desk)) == (0, [0, 0])


def tops(desk) -> list[float]:
    """How far each text is scrolled, as a share of its way."""
    return desk.page.eval_on_selector_all(
        ".stage .text", "texts => texts.map(t => t.scrollTop / Math.max(1, t.scrollHeight - t.clientHeight))"
    )


@pytest.mark.parametrize("lead", [0, 1])
def test_long_texts_scroll_together_by_share_of_the_way(seat, lead):
    project = make_project(1)
    texts(project, LONG, LONG + "\n\n" + LONG)
    desk = seat(project, viewport={"width": 1440, "height": 900}).open()
    assert desk.page.locator(".stage .pair.panes").count() == 1
    for share in (0.25, 0.9, 0.5):
        desk.page.evaluate(
            """([lead, share]) => {
                const text = document.querySelectorAll(".stage .text")[lead];
                text.scrollTop = share * (text.scrollHeight - text.clientHeight);
            }""",
            [lead, share],
        )
        desk.page.wait_for_function(
            """([other, share]) => {
                const text = document.querySelectorAll(".stage .text")[other];
                return Math.abs(text.scrollTop / (text.scrollHeight - text.clientHeight) - share) < 0.01;
            }""",
            arg=[1 - lead, share],
        )
        assert abs(tops(desk)[lead] - share) < 0.01  # the one that leads is not moved back


def sizes(desk) -> list[float]:
    """The letters of the prompt and of both responses, in pixels."""
    return desk.page.eval_on_selector_all(
        ".stage :is(.prompt-text, .response .text)",
        "texts => texts.map(text => parseFloat(getComputedStyle(text).fontSize))",
    )


def test_panes_by_the_keyboard_alone_and_the_page_where_they_are_not_wanted(seat):
    project = make_project(1)
    texts(project, LONG, LONG)
    desk = seat(project, viewport={"width": 1440, "height": 900}).open()
    desk.page.keyboard.press("Space")
    desk.page.keyboard.press("ArrowDown")
    desk.page.wait_for_function(
        "() => [...document.querySelectorAll('.stage .text')].every(t => t.scrollTop > 400)"
    )
    assert desk.page.evaluate("scrollY") == 0
    desk.page.keyboard.press("v")
    assert desk.page.locator(".stage .pair.panes").count() == 0
    desk.page.keyboard.press("Space")
    desk.page.wait_for_function("() => scrollY > 0")
    usual = sizes(desk)
    pressed = []
    for _times in range(4):
        desk.page.click("[data-size]")
        pressed.append(sizes(desk))
    larger, largest = pressed[:2]
    assert max(usual) < min(larger) < min(largest)
    assert pressed[2:] == [usual, larger]
    desk.page.reload()
    desk.ready()
    assert sizes(desk) == larger  # remembered, and that they scroll with the page
    assert desk.page.locator(".stage .pair.panes").count() == 0
    desk.page.keyboard.press("v")
    assert desk.page.locator(".stage .pair.panes").count() == 1
    desk.page.set_viewport_size({"width": 390, "height": 844})
    desk.page.wait_for_selector(".stage .pair:not(.panes)")


def test_a_short_text_has_no_pane_and_earlier_turns_unfold_by_key_and_by_hand(seat):
    project = make_project(1)
    texts(project, LONG, "Short.")
    turns = [("user", "An early question."), ("assistant", "An early answer."), ("user", "And now?")]
    Prompt.objects.update(messages=[{"role": role, "content": text} for role, text in turns])
    desk = seat(project, viewport={"width": 1440, "height": 900}).open()
    assert desk.page.locator(".stage .pair.panes").count() == 0
    fold, early = desk.page.locator(".stage .history summary"), desk.page.locator("text=An early answer.")
    assert fold.inner_text() == "2 earlier turns"
    assert desk.page.locator(".stage .prompt-text").inner_text() == "And now?"
    seen = [early.is_visible()]
    for press in (lambda: desk.page.keyboard.press("h"), lambda: desk.page.keyboard.press("H"), fold.click):
        press()
        seen.append(early.is_visible())
    assert seen == [False, True, False, True]
    assert desk.problems == []


def test_the_browser_asks_why_when_the_server_does(seat):
    desk = seat(make_project(1)).open()
    cases = []
    for rules, answer, asked in WHY:
        scheme = scheme_of(rules)
        told = {
            "steps": scheme.steps,
            "aspects": scheme.aspect_steps(),
            "rationale": scheme.rationale,
            "reasons": scheme.reasons_rule,
            "when": list(scheme.ask_when),
        }
        cases.append(
            [{"choice": answer["choice"], "aspects": answer.get("aspects", {})}, told, sorted(asked)]
        )
    found = desk.page.evaluate(
        """async cases => {
            const { mustSayWhy } = await import("/static/js/label/why.js");
            return cases.map(([answer, rules]) => [...mustSayWhy(answer, rules)].sort());
        }""",
        cases,
    )
    assert found == [asked for _answer, _rules, asked in cases]
