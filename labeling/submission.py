"""What a labeler sends for one comparison, read and checked against the project's label scheme.

A submission speaks of the screen (left is side A, right is side B); `services/preferences.py` turns it into a
preference, which speaks of responses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

import orjson
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from labeling.models import Outcome
from labeling.scheme import SKIP_REASONS, LabelScheme
from labeling.spans import Span, read_spans
from labeling.texts import clean_text

STEPS = 8
RATIONALE_MAX = 5000
DURATION_MAX_MS = 24 * 3600 * 1000
ASPECT_SIDES = ("left", "right", "same")
CHOICES = (*(str(step) for step in range(1, STEPS + 1)), "tie", "both_bad", "skip")


@dataclass(frozen=True)
class Submission:
    """One answer as the screen has it.

    `choice` is a step of the bar ("1": A much better … "8": B much better), "tie", "both_bad" or "skip"; an
    aspect says "left", "right" or "same".
    """

    choice: str
    aspects: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    rationale: str = ""
    skip_reason: str = ""
    duration_ms: int | None = None
    spans: tuple[Span, ...] = ()

    @property
    def side(self) -> str | None:
        """The preferred side of the screen, None where neither is preferred."""
        if not self.choice.isdigit():
            return None
        return "left" if int(self.choice) <= STEPS // 2 else "right"

    @property
    def strength(self) -> int | None:
        """4 (much better, the ends of the bar) to 1 (barely, its middle); None without a preferred side."""
        if not self.choice.isdigit():
            return None
        step = int(self.choice)
        return STEPS // 2 + 1 - step if step <= STEPS // 2 else step - STEPS // 2

    def outcome(self, *, swapped: bool) -> Outcome:
        """The outcome against the responses. With `swapped`, response_b stood on the left."""
        if self.side is None:
            return Outcome(self.choice)
        return Outcome.A if (self.side == "left") != swapped else Outcome.B

    def aspects_by_response(self, *, swapped: bool) -> dict[str, str]:
        """Aspects as "a", "b" or "tie" against the responses."""
        sides = {"left": "b" if swapped else "a", "right": "a" if swapped else "b", "same": "tie"}
        return {key: sides[value] for key, value in self.aspects.items()}

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        data["reasons"] = list(self.reasons)
        data["spans"] = [span.to_json() for span in self.spans]
        # An answer without spans has the digest that it had before there were any.
        return data if self.spans else {key: value for key, value in data.items() if key != "spans"}

    def digest(self, assignment_uid: UUID) -> str:
        """Tells apart a repeat of the same request from another one under the same idempotency key."""
        raw = orjson.dumps({"assignment": str(assignment_uid), **self.to_json()}, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(raw).hexdigest()


class _Reader:
    """Collects every problem of a submission by field, so that the labeler sees them all at once."""

    def __init__(self, data: Mapping[str, Any], scheme: LabelScheme) -> None:
        self.data, self.scheme = data, scheme
        self.problems: dict[str, list[str]] = {}

    def fail(self, name: str, message: str) -> None:
        self.problems.setdefault(name, []).append(message)

    def choice(self) -> str:
        choice = str(self.data.get("choice") or ("skip" if self.data.get("skip_reason") else ""))
        if choice not in CHOICES:
            self.fail("choice", _("Choose a step from 1 to 8, tie, both_bad or skip."))
        elif choice == "tie" and not self.scheme.allow_tie:
            self.fail("choice", _("This project does not allow ties."))
        elif choice == "both_bad" and not self.scheme.allow_both_bad:
            self.fail("choice", _("This project does not allow “both bad”."))
        return choice

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
        known = {aspect.key for aspect in self.scheme.aspects}
        found = {}
        for key, side in raw.items():
            if key not in known:
                self.fail("aspects", _("This project has no aspect “%(key)s”.") % {"key": str(key)[:60]})
            elif side not in ASPECT_SIDES:
                self.fail("aspects", _("“%(key)s” must be left, right or same.") % {"key": key})
            else:
                found[key] = str(side)
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

    def rationale(self, choice: str) -> str:
        raw = self.data.get("rationale") or ""
        if not isinstance(raw, str):
            self.fail("rationale", _("The rationale must be a text."))
            return ""
        text = clean_text(raw)
        if len(text) > RATIONALE_MAX:
            self.fail(
                "rationale", _("The rationale may have %(max)d characters at most.") % {"max": RATIONALE_MAX}
            )
        if self.scheme.rationale == "required" and not text and choice != "skip":
            self.fail("rationale", _("This project asks for a rationale: say why in a few words."))
        return "" if self.scheme.rationale == "off" else text

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

    def spans(self, choice: str) -> tuple[Span, ...]:
        try:
            return read_spans(self.data.get("spans"), self.scheme) if choice != "skip" else ()
        except ValidationError as error:
            self.fail("spans", error.messages[0])
            return ()


def read_submission(data: Mapping[str, Any], scheme: LabelScheme) -> Submission:
    """The submission that `data` describes. Raises ValidationError with every problem, by field."""
    reader = _Reader(data, scheme)
    choice = reader.choice()
    submission = Submission(
        choice=choice,
        aspects=reader.aspects(),
        reasons=reader.reasons(),
        rationale=reader.rationale(choice),
        skip_reason=reader.skip_reason(choice),
        duration_ms=reader.duration_ms(),
        spans=reader.spans(choice),
    )
    if reader.problems:
        raise ValidationError(dict(reader.problems))
    return submission
