"""The label page in one hand: the bar under the thumb, targets wide enough, and nothing that axe objects to."""

from __future__ import annotations

import pytest

from labeling.models import Preference
from tests.journeys.axe import Axe
from tests.journeys.test_label_long_day import lifelike
from tests.labeling.label.factories import make_project

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
WIDTH, HEIGHT = 390, 844
PHONE = {
    "viewport": {"width": WIDTH, "height": HEIGHT},
    "is_mobile": True,
    "has_touch": True,
    "bypass_csp": True,
}
SCHEME = {
    "aspects": [{"key": "safe", "name": "Safe", "steps": 4}, {"key": "true", "name": "True"}],
    "reasons": ["clearer", "safer"],
    "rationale": "optional",
}
TARGETS = ".dock .steps button, .dock-row > button, .dock-row .skip summary, .dock .save:visible"


def choose_hand(desk, hand: str) -> None:
    desk.page.tap("[popovertarget=shortcuts]")
    desk.page.check(f"[data-setting=hand][value={hand}]")
    desk.page.tap("#shortcuts [popovertargetaction=hide]")


@pytest.mark.parametrize("steps", [8, 4])
@pytest.mark.parametrize("hand", ["left", "right"])
def test_the_bar_lies_under_the_thumb_of_the_hand(seat, hand, steps):
    project = make_project(3, scheme=SCHEME | {"steps": steps})
    lifelike(project)
    desk = seat(project, **PHONE).open()
    choose_hand(desk, hand)
    desk.page.reload()
    desk.ready()
    bar = desk.page.locator(".stage .steps").bounding_box()
    assert bar["y"] >= HEIGHT * 2 / 3
    assert bar["y"] + bar["height"] <= HEIGHT
    edge = bar["x"] if hand == "left" else WIDTH - bar["x"] - bar["width"]
    assert edge <= 24
    assert bar["width"] < WIDTH * 0.6
    for target in desk.page.locator(TARGETS).all():
        box = target.bounding_box()
        assert box["width"] >= 44, target.inner_text()
        assert box["height"] >= 44, target.inner_text()
    axe = Axe()
    axe.glance(desk.page, "the label page in one hand")
    axe.check(at_least=1)
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= WIDTH
    before = desk.uid
    desk.page.tap(".stage .steps button >> nth=0")
    desk.page.wait_for_function(
        "before => document.querySelector('.stage .pair-view')?.dataset.uid !== before", arg=before
    )
    desk.wait_saved()
    assert Preference.objects.get().strength == 4
    undo = desk.page.locator(".after form.undo")
    undo.scroll_into_view_if_needed()
    box = undo.bounding_box()
    middle = box["x"] + box["width"] / 2
    assert (middle < WIDTH / 2) == (hand == "left")


def test_both_hands_have_the_bar_from_edge_to_edge(seat):
    project = make_project(2, scheme=SCHEME)
    desk = seat(project, **PHONE).open()
    choose_hand(desk, "left")
    choose_hand(desk, "both")
    bar = desk.page.locator(".stage .steps").bounding_box()
    assert bar["width"] > WIDTH * 0.75
    for target in desk.page.locator(".dock-row > button, .dock-row .skip summary").all():
        assert target.bounding_box()["height"] >= 44
    axe = Axe()
    axe.glance(desk.page, "the label page in one hand")
    axe.check(at_least=1)
