"""An order of several responses, with ties and with responses of which nothing is said, and the pairs that it gives.

A ranking as the screen has it is one place for each response shown, 1 the best: `[1, 2, 2, None]` says that the first
is better than the second and the third, that these two tie, and nothing of the fourth. Places need not follow on one
another: only their order counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from labeling.scheme import LabelScheme
from labeling.submission import DURATION_MAX_MS, RATIONALE_MAX
from labeling.texts import clean_text

MAX_SHOWN = 8


class Pair(NamedTuple):
    """`first` is better than `second`, or they tie."""

    first: int
    second: int
    is_tie: bool


@dataclass(frozen=True)
class RankingSubmission:
    """`places` by position on the screen; None where the person does not say."""

    places: tuple[int | None, ...]
    rationale: str = ""
    duration_ms: int | None = None

    def tiers(self, order: Sequence[int]) -> list[list[int]]:
        """The responses of `order` best first, those that tie together."""
        said = sorted({place for place in self.places if place is not None})
        return [[pk for pk, at in zip(order, self.places, strict=True) if at == place] for place in said]

    def unranked(self, order: Sequence[int]) -> list[int]:
        return [pk for pk, place in zip(order, self.places, strict=True) if place is None]

    def digest(self, task_uid: UUID) -> str:
        """Tells apart a repeat of the same request from another one under the same idempotency key."""
        raw = orjson.dumps({"task": str(task_uid), **asdict(self)}, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(raw).hexdigest()


def pairs_of(tiers: Sequence[Sequence[int]]) -> list[Pair]:
    """Every two ranked responses once: n ranked ones give n(n-1)/2 pairs, and they never contradict one another."""
    placed = [(pk, place) for place, tier in enumerate(tiers) for pk in tier]
    return [Pair(first, second, at == below) for (first, at), (second, below) in combinations(placed, 2)]


def read_ranking(data: Mapping[str, Any], count: int, scheme: LabelScheme) -> RankingSubmission:
    """The ranking of `count` responses that `data` describes. Raises ValidationError with all problems, by field."""
    problems: dict[str, list[str]] = {}
    places = _places(data.get("places"), count, problems)
    said = [place for place in places if place is not None]
    if "places" not in problems and len(said) < 2:
        problems["places"] = [_("Rank at least two responses.")]
    if len(set(said)) < len(said) and not scheme.allow_tie:
        problems["places"] = [_("This project does not allow ties.")]
    rationale = _rationale(data.get("rationale"), scheme, problems)
    duration_ms = _duration(data.get("duration_ms"), problems)
    if problems:
        raise ValidationError(dict(problems))
    return RankingSubmission(places, rationale, duration_ms)


def read_ranking_draft(data: Mapping[str, Any], count: int) -> dict[str, Any]:
    """What of an unfinished ranking is worth keeping: bounded, nothing refused."""
    raw = data.get("places")
    given = raw if isinstance(raw, list | tuple) and len(raw) == count else [None] * count
    rationale = data.get("rationale")
    text = clean_text(rationale)[:RATIONALE_MAX] if isinstance(rationale, str) else ""
    return {"places": [_place(value, count) for value in given], "rationale": text}


def _place(value: Any, count: int) -> int | None:
    """A place from 1 to `count`; None for nothing, and for what is no place."""
    if isinstance(value, str) and len(value) <= 2 and value.isdecimal():
        value = int(value)
    is_place = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= count
    return value if is_place else None


def _places(raw: Any, count: int, problems: dict[str, list[str]]) -> tuple[int | None, ...]:
    if not isinstance(raw, list | tuple) or len(raw) != count:
        problems["places"] = [_("Give one place for each of the %(count)d responses.") % {"count": count}]
        return (None,) * count
    places = tuple(_place(value, count) for value in raw)
    if any(place is None and value not in (None, "") for place, value in zip(places, raw, strict=True)):
        problems["places"] = [
            _("A place is a number from 1 to %(count)d, or nothing where you do not say.") % {"count": count}
        ]
    return places


def _rationale(raw: Any, scheme: LabelScheme, problems: dict[str, list[str]]) -> str:
    if raw is not None and not isinstance(raw, str):
        problems["rationale"] = [_("The rationale must be a text.")]
        return ""
    text = clean_text(raw or "")
    if len(text) > RATIONALE_MAX:
        problems["rationale"] = [
            _("The rationale may have %(max)d characters at most.") % {"max": RATIONALE_MAX}
        ]
    if scheme.rationale == "required" and not text:
        problems["rationale"] = [_("This project asks for a rationale: say why in a few words.")]
    return "" if scheme.rationale == "off" else text


def _duration(raw: Any, problems: dict[str, list[str]]) -> int | None:
    if raw is None or raw == "":
        return None
    try:
        return min(max(int(raw), 0), DURATION_MAX_MS)
    except (TypeError, ValueError, OverflowError):
        problems["duration_ms"] = [_("duration_ms must be a whole number of milliseconds.")]
        return None
