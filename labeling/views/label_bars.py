"""The bars of the label page as the templates draw them: of the whole answer, and of each aspect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from labeling.scheme import SIDES_ONLY, STRENGTHS, Aspect, LabelScheme
from labeling.submission import SAME

_WORDS = {4: _("much"), 3: _("better"), 2: _("slightly"), 1: _("barely"), None: _("better")}
_NAMES = {
    ("a", 4): _("A much better"),
    ("a", 3): _("A better"),
    ("a", 2): _("A slightly better"),
    ("a", 1): _("A barely better"),
    ("b", 1): _("B barely better"),
    ("b", 2): _("B slightly better"),
    ("b", 3): _("B better"),
    ("b", 4): _("B much better"),
    ("a", None): _("A better"),
    ("b", None): _("B better"),
}


@dataclass(frozen=True)
class Step:
    """One button: `value` is what is posted, `tone` the class of its colour, `mark` what a small one shows."""

    value: str
    word: str | Promise
    tone: str
    name: str | Promise
    mark: str = ""


@dataclass(frozen=True)
class AspectBar:
    key: str
    name: str
    steps: tuple[Step, ...]


def bar(steps: int) -> tuple[Step, ...]:
    """The steps of a bar from "A much better" to "B much better"."""
    left = [("a", strength) for strength in STRENGTHS[steps]]
    right = [("b", strength) for strength in reversed(STRENGTHS[steps])]
    return tuple(
        Step(str(number), _WORDS[strength], f"{side}{strength or 3}", _NAMES[side, strength])
        for number, (side, strength) in enumerate(left + right, start=1)
    )


def aspect_bars(scheme: LabelScheme) -> list[AspectBar]:
    return [AspectBar(aspect.key, aspect.name, tuple(_aspect_steps(aspect))) for aspect in scheme.aspects]


def _aspect_steps(aspect: Aspect) -> Iterator[Step]:
    """The aspect's bar with "the same" in its middle. Two sides are posted by name, steps by number."""
    steps = bar(aspect.steps)
    half = len(steps) // 2
    for number, step in enumerate(steps):
        if number == half:
            yield Step(SAME, "=", "", _("the same"), "=")
        side = "left" if number < half else "right"
        value = side if aspect.steps == SIDES_ONLY else step.value
        mark = step.tone[0].upper() if number in (0, len(steps) - 1) else "·"
        yield Step(value, step.word, step.tone, step.name, mark)
