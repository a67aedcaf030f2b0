"""Scorers that know nothing, to hold the others against."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..types import Callbacks, Item, Message, Scores


@dataclass(frozen=True, slots=True)
class Baseline:
    """A score by a function of prompt and response; ``n_tokens`` are characters."""

    kind: str
    template_hash: str
    value: Callable[[Sequence[Message], str], float]
    temperature: float = 1.0

    def score(self, items: Sequence[Item], *, callbacks: Callbacks | None = None) -> Scores:
        """Scores in the order given."""
        value = np.array([self.value(item.messages, item.response) for item in items], dtype=np.float32)
        (callbacks or Callbacks()).progress(len(items), len(items), "score")
        return Scores(
            value,
            value[:, None].copy(),
            np.array([len(item.response) for item in items], dtype=np.int64),
            np.zeros(len(items), dtype=np.bool_),
        )


def longest(temperature: float = 1.0) -> Baseline:
    """Characters of the response."""
    return Baseline("longest", "characters", lambda _, response: float(len(response)), temperature)


def random(seed: int = 0, temperature: float = 1.0) -> Baseline:
    """Uniform in [-1, 1) by a hash of seed, prompt and response: the same at every call, on every machine."""

    def value(messages: Sequence[Message], response: str) -> float:
        text = repr((seed, [tuple(message) for message in messages], response)).encode(
            "utf-8", "surrogatepass"
        )
        return int.from_bytes(hashlib.sha256(text).digest()[:3], "big") / 2**23 - 1.0

    return Baseline("random", f"random:{seed}", value, temperature)
