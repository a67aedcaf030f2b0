"""Simulated labelers with known error rates, so that agreement, review and dashboards have something to show.

The model of a person. An *attentive* labeler perceives the difference in quality (points of 0–10)

    d = (q_a - q_b) + length_bias · ln(length_a / length_b) + e,    e ~ Logistic(0, NOISE_SCALE)

and prefers `a` where d > 0: without length bias this is Bradley–Terry, P(a) = σ((q_a - q_b) / NOISE_SCALE).
|d| under `tie_width` is a tie; two poor responses that are close are "both bad". With probability
2 · `error_rate` the labeler *lapses*: does not read, and picks the left side with probability
(1 + `side_bias`) / 2. Sides are shuffled independently of quality, so half of the lapses are wrong and the
share of wrong outcomes among clear pairs is `error_rate`, whatever the side bias.

Everything follows from a stable hash of (labeler, seed): the same comparison gets the same outcome on any
machine and in any order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from labeling.demo.data import NO_FLAW
from labeling.demo.rationales import BOTH_BAD_RATIONALES, RATIONALES, TIE_RATIONALES
from labeling.demo.scheme import ASPECTS, FLAWS, reason_names

Side = Literal["a", "b"]

NOISE_SCALE = 0.6
BOTH_BAD_BELOW = 3.5  # quality under which a response is one that nobody would send
BOTH_BAD_WITHIN = 2.0  # perceived difference up to which two such responses are called both bad
STRENGTH_STEPS = (1.0, 2.5, 4.5)  # perceived differences from which strength is 2, 3 and 4
RATIONALE_SHARE = 0.3
DURATION_MIN_MS = 1500
TYPICAL_CHARACTERS = 800  # of both responses together: what `speed_s` is stated for
LAPSE_SPEED = 0.35  # a lapse takes this share of the time


@dataclass(frozen=True)
class SimulatedLabeler:
    """`error_rate` 0–0.5 is the share of wrong outcomes on clear pairs; `side_bias` from -1 (always right) to
    1 (always left) acts in lapses; `length_bias` is in quality points for each e-fold of length; `tie_width`
    in quality points; `speed_s` the median seconds for a typical comparison.
    """

    name: str
    languages: tuple[str, ...]
    error_rate: float
    side_bias: float = 0.0
    length_bias: float = 0.0
    tie_width: float = 0.4
    speed_s: float = 40.0

    def __post_init__(self) -> None:
        if not 0 <= self.error_rate <= 0.5:
            raise ValueError(f"error_rate is {self.error_rate}, not within 0 and 0.5")
        if not -1 <= self.side_bias <= 1:
            raise ValueError(f"side_bias is {self.side_bias}, not within -1 and 1")
        if self.tie_width < 0 or self.speed_s <= 0 or not self.languages:
            raise ValueError(f"{self.name}: tie_width, speed_s and languages must be usable")

    def can_read(self, language: str) -> bool:
        return language in self.languages


LABELERS = (
    SimulatedLabeler("Ada (simulated)", ("en",), error_rate=0.05, tie_width=0.3, speed_s=55),
    SimulatedLabeler("Bruno (simulated)", ("en",), error_rate=0.10, length_bias=0.6, speed_s=38),
    SimulatedLabeler("林晓（模拟）", ("zh",), error_rate=0.06, tie_width=0.3, speed_s=50),
    SimulatedLabeler("陈默（模拟）", ("zh",), error_rate=0.12, tie_width=1.2, speed_s=45),
    SimulatedLabeler("Mei 梅 (simulated)", ("en", "zh"), error_rate=0.15, speed_s=32),
    SimulatedLabeler("Dot in a hurry (simulated)", ("en", "zh"), error_rate=0.30, side_bias=0.7, speed_s=14),
)


@dataclass(frozen=True)
class Outcome:
    """What a simulated labeler says of one comparison, against the responses (never against sides).

    `strength` is 1–4 for "a" and "b", None otherwise; `reasons` are keys of `scheme.REASONS`; `aspects` gives
    for each aspect "a", "b" or "same".
    """

    outcome: Literal["a", "b", "tie", "both_bad"]
    strength: int | None
    reasons: tuple[str, ...]
    rationale: str
    duration_ms: int
    aspects: Mapping[str, str] = field(default_factory=dict)


def generator(labeler: SimulatedLabeler, seed: object) -> np.random.Generator:
    """Random numbers from a stable hash of the labeler's name and the seed (a comparison's id, as text)."""
    digest = hashlib.blake2b(f"{labeler.name}\x1f{seed}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def label(
    labeler: SimulatedLabeler,
    quality_a: float,
    quality_b: float,
    length_a: int,
    length_b: int,
    shown_left: Side,
    seed: object,
    *,
    flaw_a: str = NO_FLAW,
    flaw_b: str = NO_FLAW,
    language: str = "en",
) -> Outcome:
    """One labeler's outcome for one comparison; lengths in characters (at least 1).

    The flaws and the language ("en" or "zh") only colour reasons, aspects and rationale.
    """
    rng = generator(labeler, seed)
    lapses = bool(rng.random() < 2 * labeler.error_rate)
    duration_ms = _duration_ms(labeler, length_a + length_b, lapses, rng)
    if lapses:
        takes_left = bool(rng.random() < (1 + labeler.side_bias) / 2)
        picked: Side = shown_left if takes_left else _other(shown_left)
        return Outcome(picked, int(rng.integers(1, 4)), (), "", duration_ms)
    bias = labeler.length_bias * math.log(max(length_a, 1) / max(length_b, 1))
    seen = quality_a - quality_b + bias + float(rng.logistic(0.0, NOISE_SCALE))
    writes = bool(rng.random() < RATIONALE_SHARE)
    if max(quality_a, quality_b) < BOTH_BAD_BELOW and abs(seen) < BOTH_BAD_WITHIN:
        text = _pick(BOTH_BAD_RATIONALES[language], rng) if writes else ""
        return Outcome("both_bad", None, (), text, duration_ms)
    if abs(seen) < labeler.tie_width:
        return Outcome("tie", None, (), _pick(TIE_RATIONALES[language], rng) if writes else "", duration_ms)
    winner: Side = "a" if seen > 0 else "b"
    flaw = flaw_b if winner == "a" else flaw_a
    reason, aspect = FLAWS.get(flaw, ("", ""))
    text = _pick(RATIONALES[flaw][language], rng) if writes and reason else ""
    return _preferred(winner, abs(seen), reason, aspect, text, duration_ms)


def _preferred(winner: Side, seen: float, reason: str, aspect: str, text: str, duration_ms: int) -> Outcome:
    """An attentive preference: strength from the size of the perceived difference `seen`."""
    return Outcome(
        outcome=winner,
        strength=1 + sum(seen >= step for step in STRENGTH_STEPS),
        reasons=(reason,) if reason else (),
        rationale=text,
        duration_ms=duration_ms,
        aspects={key: winner if key == aspect else "same" for key in ASPECTS} if aspect else {},
    )


def answer(outcome: Outcome, shown_left: Side, scheme_language: str = "both") -> dict[str, Any]:
    """The outcome as the label screen would send it (`labeling.submission.read_submission` reads it).

    Steps 1–4 prefer the left side, 1 the strongest; 5–8 the right side, 8 the strongest.
    """
    choice: str = outcome.outcome
    if outcome.outcome in ("a", "b") and outcome.strength is not None:
        left = outcome.outcome == shown_left
        choice = str(5 - outcome.strength if left else 4 + outcome.strength)
    sides = {shown_left: "left", _other(shown_left): "right", "same": "same"}
    return {
        "choice": choice,
        "aspects": {key: sides[side] for key, side in outcome.aspects.items()},
        "reasons": reason_names(outcome.reasons, scheme_language),
        "rationale": outcome.rationale,
        "duration_ms": outcome.duration_ms,
    }


def _other(side: Side) -> Side:
    return "b" if side == "a" else "a"


def _pick(texts: tuple[str, ...], rng: np.random.Generator) -> str:
    return texts[int(rng.integers(len(texts)))]


def _duration_ms(labeler: SimulatedLabeler, characters: int, lapses: bool, rng: np.random.Generator) -> int:
    """Log-normal around `speed_s`, growing with what there is to read."""
    reading = 0.4 + 0.6 * characters / TYPICAL_CHARACTERS
    seconds = labeler.speed_s * reading * float(rng.lognormal(0.0, 0.35)) * (LAPSE_SPEED if lapses else 1.0)
    return max(DURATION_MIN_MS, round(seconds * 1000))
