"""Values that cross the library's boundary. No torch, no transformers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .errors import DataError

FloatArray = NDArray[np.float32]
SPLITS = ("train", "validation", "test")


class Message(NamedTuple):
    """One turn of a conversation; ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two responses to one prompt and what people said of them.

    ``p_chosen`` in [0, 1] is the share of (weighted) votes for ``chosen``; 0.5 is a tie. ``strength`` 1..4
    is how much better, None when nobody said. ``group`` keeps what belongs together on one side of a split;
    empty means the prompt is its own group. ``slices`` are labels to report accuracy by.
    """

    pair_id: str
    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    p_chosen: float = 1.0
    strength: float | None = None
    weight: float = 1.0
    group: str = ""
    split: str = "train"
    slices: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0.0 <= self.p_chosen <= 1.0:
            raise DataError(f"pair {self.pair_id}: p_chosen {self.p_chosen} is outside [0, 1]")
        if self.strength is not None and not 1.0 <= self.strength <= 4.0:
            raise DataError(f"pair {self.pair_id}: strength {self.strength} is outside [1, 4]")
        if not 0.0 <= self.weight < float("inf"):
            raise DataError(f"pair {self.pair_id}: weight {self.weight} is negative or not finite")
        if self.split not in SPLITS:
            raise DataError(f"pair {self.pair_id}: split {self.split!r} is none of {', '.join(SPLITS)}")

    @property
    def prompt_key(self) -> str:
        """Stable short hash of the prompt's messages."""
        text = json.dumps([[m[0], m[1]] for m in self.messages], ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def group_key(self) -> str:
        """``group``, or the prompt's hash when no group is given."""
        return self.group or self.prompt_key

    @property
    def is_tie(self) -> bool:
        """Neither response is preferred."""
        return self.p_chosen == 0.5


@dataclass(frozen=True, slots=True)
class Item:
    """One response to score, with the conversation it answers."""

    item_id: str
    messages: tuple[Message, ...]
    response: str


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of N items: ``value`` (N,) raw and unbounded, ``heads`` (N, K) of the ensemble (K may be 1),
    ``n_tokens`` (N,) tokens (words for the starter) that were read, ``truncated`` (N,) whether text was
    cut."""

    value: FloatArray
    heads: FloatArray
    n_tokens: NDArray[np.int64]
    truncated: NDArray[np.bool_]


class Callbacks:
    """What the library tells its caller while it works, and how the caller stops it. All no-ops here."""

    def progress(self, done: int, total: int, message: str) -> None:
        """``done`` of ``total`` units of work are finished; ``message`` is a short English code word."""

    def metric(self, step: int, values: dict[str, float]) -> None:
        """Live figures of one step."""

    def checkpointed(self) -> None:
        """A checkpoint that can be resumed from is on disk."""

    def should_stop(self) -> bool:
        """Asked between units of work; True ends the work with ``Stopped``."""
        return False


@runtime_checkable
class RewardScorer(Protocol):
    """Anything that gives each response one score, higher is better."""

    @property
    def kind(self) -> str:
        """``starter`` or ``transformer``."""
        ...

    @property
    def template_hash(self) -> str:
        """Hash of how a conversation becomes the model's input; every stored score names it."""
        ...

    @property
    def temperature(self) -> float:
        """T of ``P(a beats b) = sigmoid((a - b) / T)``."""
        ...

    def score(self, items: Sequence[Item], *, callbacks: Callbacks | None = None) -> Scores:
        """Score every item, in the order given."""
        ...


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished model folder. ``metrics`` are final figures, ``counts`` say what the data held:
    ``train``, ``validation``, ``test_ignored``, ``ties``, ``overlong`` pairs and so on."""

    path: Path
    metrics: dict[str, float]
    best_step: int
    seconds: float
    counts: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "path": str(self.path),
            "metrics": self.metrics,
            "best_step": self.best_step,
            "seconds": self.seconds,
            "counts": self.counts,
        }
