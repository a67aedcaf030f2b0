"""A scalar reward model shown as a judge: P(a ≻ b) from its stored scores, no text and no call.

The storey above owns the models, so it registers a callable by name in `settings.PAIR_SCORERS`. It takes
comparison ids and returns, for each, an object with a probability for response a (`p_a`), or None where there
is no score yet.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from judging.engines.base import JudgeRequest, Reply, ShouldStop

_FLOOR = 1e-6


class PairProbability(Protocol):
    @property
    def p_a(self) -> float: ...


PairScorer = Callable[[Sequence[int]], Mapping[int, PairProbability | None]]


class ScorerEngine:
    """Verdicts of a registered pair scorer. A comparison without scores is an error, never a tie."""

    def __init__(self, scorer: PairScorer) -> None:
        self._scorer = scorer

    def judge(
        self, requests: Sequence[JudgeRequest], *, should_stop: ShouldStop | None = None
    ) -> list[Reply]:
        began = time.monotonic()
        found = self._scorer(sorted({request.comparison_id for request in requests}))
        latency_ms = round((time.monotonic() - began) * 1000 / max(len(requests), 1))
        return [_reply(found.get(request.comparison_id), request, latency_ms) for request in requests]

    def close(self) -> None:
        """Nothing is held."""


def _reply(probability: PairProbability | None, request: JudgeRequest, latency_ms: int) -> Reply:
    if probability is None or not math.isfinite(probability.p_a):
        return Reply(finish_reason="error", error="the responses have not been scored yet")
    p_a = min(max(probability.p_a, _FLOOR), 1.0 - _FLOOR)
    first = p_a if request.order == "ab" else 1.0 - p_a
    logprobs = {"A": math.log(first), "B": math.log(1.0 - first)}
    if first == 0.5:
        return Reply(
            text="[[C]]" if "C" in request.labels else "", label_logprobs=logprobs, latency_ms=latency_ms
        )
    return Reply(text="[[A]]" if first > 0.5 else "[[B]]", label_logprobs=logprobs, latency_ms=latency_ms)
