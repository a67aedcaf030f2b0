"""The label scheme of a project: what a labeler may say beside the outcome. Stored as JSON, checked here."""

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


@dataclass(frozen=True)
class Aspect:
    """Something to compare the two responses by, beside the overall outcome."""

    key: str
    name: str


@dataclass(frozen=True)
class LabelScheme:
    allow_tie: bool = True
    allow_both_bad: bool = True
    aspects: tuple[Aspect, ...] = ()
    reasons: tuple[str, ...] = ()
    rationale: str = "optional"  # "optional", "required" or "off"
    screen: str = "pairs"  # "pairs", "ranking" or "both"
    rewrites: bool = False
    spans: bool = False

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        data["aspects"] = [asdict(aspect) for aspect in self.aspects]
        data["reasons"] = list(self.reasons)
        return data


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

    def aspects(self) -> tuple[Aspect, ...]:
        found = []
        for row in self.data.get("aspects", []):
            if not (isinstance(row, dict) and str(row.get("key", "")).isidentifier() and row.get("name")):
                self.problems.append(str(_("Each aspect needs a key (letters and digits) and a name.")))
                continue
            found.append(Aspect(key=str(row["key"]), name=str(row["name"])[:60]))
        if len({aspect.key for aspect in found}) != len(found):
            self.problems.append(str(_("Two aspects have the same key.")))
        return tuple(found)

    def reasons(self) -> tuple[str, ...]:
        rows = self.data.get("reasons", [])
        if not (isinstance(rows, list) and all(isinstance(row, str) and row.strip() for row in rows)):
            self.problems.append(str(_("Reasons must be a list of short texts.")))
            return ()
        return tuple(dict.fromkeys(row.strip()[:40] for row in rows))


def read_scheme(data: Any) -> LabelScheme:
    """The scheme that `data` describes. Raises ValidationError with every problem found."""
    if not isinstance(data, dict):
        raise ValidationError(_("The label scheme must be a JSON object."))
    reader = _Reader(data)
    rationale = data.get("rationale", "optional")
    if rationale not in {"optional", "required", "off"}:
        reader.problems.append(str(_("rationale must be optional, required or off.")))
    screen = data.get("screen", "pairs")
    if screen not in {"pairs", "ranking", "both"}:
        reader.problems.append(str(_("screen must be pairs, ranking or both.")))
    scheme = LabelScheme(
        allow_tie=reader.boolean("allow_tie", default=True),
        allow_both_bad=reader.boolean("allow_both_bad", default=True),
        aspects=reader.aspects(),
        reasons=reader.reasons(),
        rationale=rationale,
        screen=screen,
        rewrites=reader.boolean("rewrites", default=False),
        spans=reader.boolean("spans", default=False),
    )
    if reader.problems:
        raise ValidationError(reader.problems)
    return scheme


def default_scheme() -> dict[str, Any]:
    return LabelScheme().to_json()
