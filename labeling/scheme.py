"""The label scheme of a project: what a labeler may say beside the outcome. Stored as JSON, checked here.

A bar has 2, 4, 6 or 8 steps from "A much better" to "B much better". A strength means the same on each of them:
4 much, 3 better, 2 slightly, 1 barely; a bar of two steps tells the side alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

SKIP_REASONS = {
    "unclear": _("The prompt is unclear"),
    "language": _("I do not read this language well enough"),
    "expertise": _("I cannot check the facts"),
    "harmful": _("I would rather not read this"),
    "broken": _("The text is broken"),
}
# Steps of a bar -> the strengths of its left half, from the end to the middle.
STRENGTHS: dict[int, tuple[int | None, ...]] = {2: (None,), 4: (4, 2), 6: (4, 3, 2), 8: (4, 3, 2, 1)}
STEPS = 8
SIDES_ONLY = 2
STRONG = 4
# Answers of which a project may ask why. They are told from the labeler's own answer alone: to say that others
# said something else would let their votes be seen (invariant 3).
WHY_CASES = {
    "strong": _("much better"),
    "tie": _("a tie"),
    "both_bad": _("both bad"),
    "contradiction": _("the other side than every aspect"),
}
RULES = ("optional", "when", "required")
SCREENS = ("pairs", "ranking", "both")


@dataclass(frozen=True)
class Aspect:
    """Something to compare the two responses by, beside the overall outcome, on a bar of its own."""

    key: str
    name: str
    steps: int = SIDES_ONLY


@dataclass(frozen=True)
class LabelScheme:
    """`rationale` is off, optional, required or when; `reasons_rule` the same without off. What is "when" is
    asked for in the cases of `ask_when` (keys of WHY_CASES). `screen` says which screens labelers have."""

    allow_tie: bool = True
    allow_both_bad: bool = True
    steps: int = STEPS
    aspects: tuple[Aspect, ...] = ()
    reasons: tuple[str, ...] = ()
    reasons_rule: str = "optional"
    rationale: str = "optional"
    ask_when: tuple[str, ...] = ()
    screen: str = "pairs"
    rewrites: bool = False
    spans: bool = False

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        data["aspects"] = [asdict(aspect) for aspect in self.aspects]
        return data | {"reasons": list(self.reasons), "ask_when": list(self.ask_when)}

    def aspect_steps(self) -> dict[str, int]:
        return {aspect.key: aspect.steps for aspect in self.aspects}


@dataclass
class _Reader:
    """Reads scheme JSON and collects every problem, so that a manager sees them all at once."""

    data: dict[str, Any]
    problems: list[str] = field(default_factory=list)

    def boolean(self, key: str, *, default: bool) -> bool:
        value = self.data.get(key, default)
        if not isinstance(value, bool):
            self.problems.append(str(_("%(key)s must be true or false.") % {"key": key}))
            return default
        return value

    def one_of(self, key: str, known: tuple[str, ...], default: str) -> str:
        value = self.data.get(key, default)
        if value not in known:
            words = {"key": key, "known": ", ".join(known)}
            self.problems.append(str(_("%(key)s must be one of: %(known)s.") % words))
            return default
        return str(value)

    def steps(self, value: Any) -> int:
        if not isinstance(value, int) or value not in STRENGTHS:
            self.problems.append(str(_("A bar has 2, 4, 6 or 8 steps.")))
            return STEPS
        return int(value)

    def aspects(self) -> tuple[Aspect, ...]:
        found = []
        rows = self.data.get("aspects", [])
        for row in rows if isinstance(rows, list) else [rows]:
            if not (isinstance(row, dict) and str(row.get("key", "")).isidentifier() and row.get("name")):
                self.problems.append(str(_("Each aspect needs a key (letters and digits) and a name.")))
                continue
            steps = self.steps(row.get("steps", SIDES_ONLY))
            found.append(Aspect(key=str(row["key"]), name=str(row["name"])[:60], steps=steps))
        if len({aspect.key for aspect in found}) != len(found):
            self.problems.append(str(_("Two aspects have the same key.")))
        return tuple(found)

    def reasons(self) -> tuple[str, ...]:
        rows = self.data.get("reasons", [])
        if not (isinstance(rows, list) and all(isinstance(row, str) and row.strip() for row in rows)):
            self.problems.append(str(_("Reasons must be a list of short texts.")))
            return ()
        return tuple(dict.fromkeys(row.strip()[:40] for row in rows))

    def ask_when(self) -> tuple[str, ...]:
        rows = self.data.get("ask_when", [])
        if not (isinstance(rows, list) and all(isinstance(row, str) and row in WHY_CASES for row in rows)):
            known = ", ".join(WHY_CASES)
            self.problems.append(str(_("ask_when must be a list of: %(known)s.") % {"known": known}))
            return ()
        return tuple(case for case in WHY_CASES if case in rows)


def read_scheme(data: Any) -> LabelScheme:
    """The scheme that `data` describes. Raises ValidationError with every problem found."""
    if not isinstance(data, dict):
        raise ValidationError(_("The label scheme must be a JSON object."))
    reader = _Reader(data)
    scheme = LabelScheme(
        allow_tie=reader.boolean("allow_tie", default=True),
        allow_both_bad=reader.boolean("allow_both_bad", default=True),
        steps=reader.steps(data.get("steps", STEPS)),
        aspects=reader.aspects(),
        reasons=reader.reasons(),
        reasons_rule=reader.one_of("reasons_rule", RULES, "optional"),
        rationale=reader.one_of("rationale", ("off", *RULES), "optional"),
        ask_when=reader.ask_when(),
        screen=reader.one_of("screen", SCREENS, "pairs"),
        rewrites=reader.boolean("rewrites", default=False),
        spans=reader.boolean("spans", default=False),
    )
    if scheme.reasons_rule != "optional" and not scheme.reasons:
        reader.problems.append(str(_("Reasons cannot be asked for where there are none: write the chips.")))
    if "when" in (scheme.rationale, scheme.reasons_rule) and not scheme.ask_when:
        reader.problems.append(str(_("Choose for which answers the labeler must say why.")))
    if reader.problems:
        raise ValidationError(reader.problems)
    return scheme


def default_scheme() -> dict[str, Any]:
    return LabelScheme().to_json()
