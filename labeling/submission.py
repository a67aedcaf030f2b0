"""What a labeler sends for one comparison, read and checked against the project's label scheme.

A submission speaks of the screen (left is side A, right is side B); `services/preferences.py` turns it into a
preference, which speaks of responses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from labeling.models import Outcome
from labeling.scheme import SKIP_REASONS, STEPS, STRENGTHS, STRONG, LabelScheme

RATIONALE_MAX = 5000
DURATION_MAX_MS = 24 * 3600 * 1000
SAME = "same"
# All that a choice and an aspect may be on the longest bar; a scheme's own bars may be shorter.
_ALL_STEPS = tuple(str(step) for step in range(1, STEPS + 1))
CHOICES = (*_ALL_STEPS, "tie", "both_bad", "skip")
ASPECT_VALUES = ("left", "right", SAME, *_ALL_STEPS)


def side_of(value: str, steps: int) -> str | None:
    """The side, "left" or "right", that a value of a bar of so many steps prefers; None: neither."""
    if value in ("left", "right"):
        return value
    if not value.isdigit():
        return None
    return "left" if int(value) <= steps // 2 else "right"


def is_aspect_value(value: object, steps: int) -> bool:
    return value in ASPECT_VALUES and (not str(value).isdigit() or int(str(value)) <= steps)


def strength_of(value: str, steps: int) -> int | None:
    """4 (much) to 1 (barely) of a step, see STRENGTHS; None where the value or the bar tells no strength."""
    if not value.isdigit():
        return None
    step = int(value)
    return STRENGTHS[steps][step - 1 if step <= steps // 2 else steps - step]


@dataclass(frozen=True)
class Submission:
    """One answer as the screen has it.

    `choice` is a step of the scheme's bar ("1": A much better … "8": B much better), "tie", "both_bad" or
    "skip"; an aspect says "left", "right", "same", or a step of its own bar.
    """

    choice: str
    aspects: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    rationale: str = ""
    skip_reason: str = ""
    duration_ms: int | None = None
    scheme: LabelScheme = field(default_factory=LabelScheme)

    @property
    def side(self) -> str | None:
        """The preferred side of the screen, None where neither is preferred."""
        return side_of(self.choice, self.scheme.steps)

    @property
    def strength(self) -> int | None:
        """4 (much better) to 1 (barely); None without a preferred side, and on a bar of two steps."""
        return strength_of(self.choice, self.scheme.steps)

    def outcome(self, *, swapped: bool) -> Outcome:
        """The outcome against the responses. With `swapped`, response_b stood on the left."""
        if self.side is None:
            return Outcome(self.choice)
        return Outcome.A if (self.side == "left") != swapped else Outcome.B

    def aspects_by_response(self, *, swapped: bool) -> dict[str, str]:
        """Aspects as "a", "b" or "tie" against the responses."""
        sides = {"left": "b" if swapped else "a", "right": "a" if swapped else "b", None: "tie"}
        steps = self.scheme.aspect_steps()
        return {key: sides[side_of(value, steps[key])] for key, value in self.aspects.items()}

    @property
    def aspect_strengths(self) -> dict[str, int]:
        """How strongly, 4 to 1, of each aspect whose bar says it."""
        steps = self.scheme.aspect_steps()
        found = {key: strength_of(value, steps[key]) for key, value in self.aspects.items()}
        return {key: strength for key, strength in found.items() if strength}

    def to_json(self) -> dict[str, Any]:
        return {
            "choice": self.choice,
            "aspects": dict(self.aspects),
            "reasons": list(self.reasons),
            "rationale": self.rationale,
            "skip_reason": self.skip_reason,
            "duration_ms": self.duration_ms,
        }

    def digest(self, assignment_uid: UUID) -> str:
        """Tells apart a repeat of the same request from another one under the same idempotency key."""
        raw = orjson.dumps({"assignment": str(assignment_uid), **self.to_json()}, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(raw).hexdigest()


def why_cases(submission: Submission) -> frozenset[str]:
    """Which of WHY_CASES this answer is. `static/js/label/why.js` says the same in the browser."""
    cases = {submission.choice} & {"tie", "both_bad"}
    if submission.strength == STRONG:
        cases.add("strong")
    steps = submission.scheme.aspect_steps()
    sides = {side_of(value, steps[key]) for key, value in submission.aspects.items()} - {None}
    if submission.side and sides and submission.side not in sides:
        cases.add("contradiction")
    return frozenset(cases)


def must_say_why(submission: Submission) -> frozenset[str]:
    """Which of "rationale" and "reasons" the scheme asks for with this answer. A skip has its own reason."""
    scheme = submission.scheme
    asked = bool(why_cases(submission) & set(scheme.ask_when))
    rules = {"rationale": scheme.rationale, "reasons": scheme.reasons_rule}
    is_answer = submission.choice != "skip"
    return frozenset(
        name
        for name, rule in rules.items()
        if is_answer and (rule == "required" or (rule == "when" and asked))
    )


class _Reader:
    """Collects every problem of a submission by field, so that the labeler sees them all at once."""

    def __init__(self, data: Mapping[str, Any], scheme: LabelScheme) -> None:
        self.data, self.scheme = data, scheme
        self.problems: dict[str, list[str]] = {}

    def fail(self, name: str, message: str) -> None:
        self.problems.setdefault(name, []).append(message)

    def choice(self) -> str:
        choice = str(self.data.get("choice") or ("skip" if self.data.get("skip_reason") else ""))
        if choice not in CHOICES or (choice.isdigit() and int(choice) > self.scheme.steps):
            words = {"steps": self.scheme.steps}
            self.fail("choice", _("Choose a step from 1 to %(steps)d, tie, both_bad or skip.") % words)
        elif choice == "tie" and not self.scheme.allow_tie:
            self.fail("choice", _("This project does not allow ties."))
        elif choice == "both_bad" and not self.scheme.allow_both_bad:
            self.fail("choice", _("This project does not allow “both bad”."))
        return "" if "choice" in self.problems else choice

    def skip_reason(self, choice: str) -> str:
        reason = str(self.data.get("skip_reason") or "")
        if choice != "skip":
            return ""
        if reason not in SKIP_REASONS:
            self.fail(
                "skip_reason", _("Say why you skip: one of %(keys)s.") % {"keys": ", ".join(SKIP_REASONS)}
            )
        return reason

    def aspects(self) -> dict[str, str]:
        raw = self.data.get("aspects") or {}
        if not isinstance(raw, Mapping):
            self.fail("aspects", _("Aspects must be an object of key and side."))
            return {}
        known = self.scheme.aspect_steps()
        found = {}
        for key, value in raw.items():
            if key not in known:
                self.fail("aspects", _("This project has no aspect “%(key)s”.") % {"key": str(key)[:60]})
            elif not is_aspect_value(value, known[key]):
                words = {"key": key, "steps": known[key]}
                self.fail(
                    "aspects",
                    _("“%(key)s” must be left, right, same, or a step from 1 to %(steps)d.") % words,
                )
            else:
                found[key] = str(value)
        return dict(sorted(found.items()))

    def reasons(self) -> tuple[str, ...]:
        raw = self.data.get("reasons") or []
        if not (isinstance(raw, list | tuple) and all(isinstance(reason, str) for reason in raw)):
            self.fail("reasons", _("Reasons must be a list of texts."))
            return ()
        unknown = [reason for reason in raw if reason not in self.scheme.reasons]
        if unknown:
            self.fail("reasons", _("This project has no reason “%(reason)s”.") % {"reason": unknown[0][:60]})
        return tuple(reason for reason in self.scheme.reasons if reason in raw)

    def rationale(self) -> str:
        raw = self.data.get("rationale") or ""
        if not isinstance(raw, str):
            self.fail("rationale", _("The rationale must be a text."))
            return ""
        text = raw.replace("\x00", "").replace("\r\n", "\n").strip()
        # A lone surrogate, which JSON can carry, has no place in a database.
        text = text.encode("utf-8", "replace").decode("utf-8")
        if len(text) > RATIONALE_MAX:
            self.fail(
                "rationale", _("The rationale may have %(max)d characters at most.") % {"max": RATIONALE_MAX}
            )
        return "" if self.scheme.rationale == "off" else text

    def why(self, submission: Submission) -> None:
        """Fail for what the scheme asks for with this answer and the answer does not say."""
        asked = must_say_why(submission)
        if "rationale" in asked and not submission.rationale:
            self.fail("rationale", _("This project asks for a rationale: say why in a few words."))
        if "reasons" in asked and not submission.reasons:
            self.fail("reasons", _("This project asks for a reason: choose one of its chips."))

    def duration_ms(self) -> int | None:
        raw = self.data.get("duration_ms")
        if raw is None or raw == "":
            return None
        try:
            value = int(raw)
        except (TypeError, ValueError, OverflowError):
            self.fail("duration_ms", _("duration_ms must be a whole number of milliseconds."))
            return None
        return min(max(value, 0), DURATION_MAX_MS)


def read_submission(data: Mapping[str, Any], scheme: LabelScheme) -> Submission:
    """The submission that `data` describes. Raises ValidationError with every problem, by field."""
    reader = _Reader(data, scheme)
    choice = reader.choice()
    submission = Submission(
        choice=choice,
        aspects=reader.aspects(),
        reasons=reader.reasons(),
        rationale=reader.rationale(),
        skip_reason=reader.skip_reason(choice),
        duration_ms=reader.duration_ms(),
        scheme=scheme,
    )
    reader.why(submission)
    if reader.problems:
        raise ValidationError(dict(reader.problems))
    return submission
