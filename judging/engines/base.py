"""What every engine has in common: requests in, replies out, in the same order and never an exception less.

An engine does not decide what a reply means; `judging.parsing` does. It reports how the answer ended
(`finish_reason`), what it said, and, where it can see them, the log-probabilities of the labels at the place
of the verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from judging.prompts import Message
from webapp.jobs.messages import Text


@dataclass(frozen=True)
class Sampling:
    """Sent explicitly with every call, because servers apply a model's own defaults otherwise."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 700
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class JudgeRequest:
    """One call. `comparison_id` and `order` are for engines that read stored scores instead of text."""

    messages: Sequence[Message]
    labels: tuple[str, ...]
    prefill: str = ""
    comparison_id: int = 0
    order: str = "ab"
    pattern: str | None = None


@dataclass(frozen=True)
class Reply:
    """One answer. `label_logprobs` are natural logarithms of probabilities over the whole vocabulary, not
    renormalised. `finish_reason` is `error` exactly when `error` says why the call failed."""

    text: str = ""
    finish_reason: str = "stop"
    label_logprobs: Mapping[str, float] | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    latency_ms: int = 0
    error: str = ""
    reasoning: str = ""


ShouldStop = Callable[[], bool]
# The error of a request that was never made because the run was stopped: not a verdict, ask again later.
STOPPED = "stopped"


class Engine(Protocol):
    """A judge's motor. `judge` returns one reply for each request, in order; failures are replies too."""

    def judge(
        self, requests: Sequence[JudgeRequest], *, should_stop: ShouldStop | None = None
    ) -> list[Reply]: ...

    def close(self) -> None: ...


class EngineError(Exception):
    """The engine cannot work at all, such as for want of a model folder. `permanent`: do not try again."""

    def __init__(self, message: Text, *, permanent: bool = True) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True)
class LabelShare:
    """Probabilities renormalised over the labels (they sum to 1), and their mass before that, in [0, 1]."""

    shares: Mapping[str, float]
    mass: float


def renormalise(label_logprobs: Mapping[str, float]) -> LabelShare | None:
    """Label probabilities from log-probabilities; None when nothing finite was given."""
    finite = {label: value for label, value in label_logprobs.items() if math.isfinite(value)}
    if not finite:
        return None
    top = max(finite.values())
    weights = {label: math.exp(value - top) for label, value in finite.items()}
    total = sum(weights.values())
    shares = {label: weights.get(label, 0.0) / total for label in label_logprobs}
    return LabelShare(shares, min(1.0, total * math.exp(min(top, 0.0))))


def probability_first(label_logprobs: Mapping[str, float], *, tie: str | None) -> tuple[float, float] | None:
    """(P(first ≻ second), label mass) from label log-probabilities; a tie counts half to each side."""
    share = renormalise(label_logprobs)
    if share is None:
        return None
    half = 0.5 * share.shares.get(tie, 0.0) if tie else 0.0
    return share.shares.get("A", 0.0) + half, share.mass


PROBABILITY_FLOOR = 1e-4


def swap_average(p_ab: float, p_ba: float) -> float:
    """P(a ≻ b) from both orders, averaged in logit space. Both are P for response a, clipped to 1e-4.

    Averaging logits cancels an additive preference for a slot exactly; averaging probabilities does not.
    """
    return 1.0 / (1.0 + math.exp(-0.5 * (_logit(p_ab) + _logit(p_ba))))


def vote_share(wins_a: float, count: int) -> float:
    """P(a ≻ b) from `count` verdicts of which `wins_a` are for a (ties half), with Jeffreys' prior."""
    return (wins_a + 0.5) / (count + 1.0)


def _logit(probability: float) -> float:
    clipped = min(max(probability, PROBABILITY_FLOOR), 1.0 - PROBABILITY_FLOOR)
    return math.log(clipped / (1.0 - clipped))
