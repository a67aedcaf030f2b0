"""A long day: two hundred pairs in a row with the hands on the keyboard, and how soon the next pair is painted."""

from __future__ import annotations

from itertools import cycle

import pytest

from labeling.models import Comparison, Preference, Response
from tests.journeys.label_desk import note_figures
from tests.labeling.label.factories import make_project

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
PAIRS = 200
MOST_MS = 100
SCHEME = {
    "aspects": [{"key": "safe", "name": "Safe", "steps": 4}, {"key": "true", "name": "True"}],
    "reasons": ["clearer", "safer"],
    "rationale": "when",
    "ask_when": ["both_bad"],
}
# Everything that a mouse, a pen or a finger could cause, and for each key the time until another pair is painted:
# to the frame after the one in which another pair was found in the stage.
WATCH = """
window.touched = [];
for (const kind of ["mousedown", "mouseup", "mousemove", "pointerdown", "pointermove", "wheel", "touchstart"])
  addEventListener(kind, (event) => window.touched.push(kind), true);
window.painted = [];
let turn = 0; // of several keys, the last one brings the next pair
const shown = () => document.querySelector(".stage .pair-view")?.dataset.uid;
addEventListener("keydown", (event) => {
  const [mine, before, at] = [++turn, shown(), event.timeStamp];
  const look = () => {
    if (mine !== turn) return;
    if (shown() && shown() !== before) requestAnimationFrame(() => window.painted.push(performance.now() - at));
    else if (performance.now() - at < 5000) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}, true);
"""
# The keys of one answer each; the last one brings the next pair.
ANSWERS = (
    ["1"], ["2"], ["3"], ["4"], ["5"], ["6"], ["7"], ["8"], ["t"],
    ["q", "2"],
    ["s", "2"],
    ["d", "v", "h", "7"],
    ["r", *"weil, because", "Escape", "3"],
    ["a", "ArrowRight", "a", "Space", "6"],
    ["x", *"neither helps", "Enter"],
)  # fmt: skip


def lifelike(project) -> None:
    """Two texts of some 700 characters for each pair."""
    paragraph = "A sentence of **ordinary** length, with `code` in it, about the question asked. "
    rows = list(Response.objects.filter(prompt__project=project))
    for number, row in enumerate(rows):
        row.text = f"Answer {number}\n\n" + paragraph * 4 + "\n\n- one\n- two\n\n" + paragraph * 4
    Response.objects.bulk_update(rows, ["text"], batch_size=500)


def test_two_hundred_pairs_by_keyboard_alone_each_painted_at_once(seat):
    """At a person's pace: the next answer is given when the last one has been saved."""
    project = make_project(PAIRS + 3, scheme=SCHEME)
    lifelike(project)
    desk = seat(project, viewport={"width": 1440, "height": 900})
    desk.page.add_init_script(WATCH)
    desk.open()
    seen = []
    for number, keys in zip(range(PAIRS), cycle(ANSWERS), strict=False):
        seen.append(desk.uid)
        if number % 40 == 39:  # now and then the last answer is taken back and given again
            desk.page.wait_for_selector(".after form.undo")
            desk.press_and_move_on("u")
            desk.press_and_move_on("4")
            desk.wait_saved()
        for key in keys[:-1]:
            desk.page.keyboard.press(key)
        desk.press_and_move_on(keys[-1])
        desk.wait_saved()
    times = sorted(desk.page.evaluate("window.painted"))
    assert desk.page.evaluate("window.touched") == []
    assert len(set(seen)) == PAIRS
    said = {row.comparison_id: row.outcome for row in Preference.objects.order_by("revision")}
    assert len(said) == PAIRS
    assert "withdrawn" not in said.values()
    assert Comparison.objects.filter(label_count=1).count() == sum(
        outcome != "skip" for outcome in said.values()
    )
    p50, p95 = times[len(times) // 2], times[int(len(times) * 0.95)]
    note_figures("key to painted", n=len(times), p50_ms=round(p50, 1), p95_ms=round(p95, 1))
    assert len(times) >= PAIRS
    assert p95 < MOST_MS
    assert desk.problems == []
