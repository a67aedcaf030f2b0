"""Values that cross the library's boundary. No torch, no transformers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .errors import DataError

FloatArray = NDArray[np.float32]
SPLITS = ("train", "validation", "test")
ROUNDING = 1e-9


def without_rounding(p: float) -> float:
    """A share, 0.5 exactly where it is that but for rounding: balanced votes are a tie however they were added up."""
    return 0.5 if abs(p - 0.5) <= ROUNDING else p


class Message(NamedTuple):
    """One turn of a conversation; ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two responses to one prompt and what people said of them.

    ``p_chosen`` in [0, 1] is the share of (weighted) votes for ``chosen``, a tie counting half to each side; 0.5
    is a tie, and what lies within 1e-9 of it becomes 0.5. ``p_tie`` is the share of votes that said "tie", which tells
    such a pair from one of split votes; None where nobody counted them: then 0.5 means that all did, anything else that
    none did. ``strength`` 1..4 is how much better, None when nobody said. ``group`` keeps what belongs together on one
    side of a split; empty means the prompt is its own group. ``slices`` are labels to report accuracy by.
    ``ratings_chosen`` and ``ratings_rejected`` rate the two responses by aspect, on any scale; one may be missing.
    ``votes`` is what each annotator said (``chosen``, ``rejected`` or ``tie``), for agreement with every one of them.
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
    p_tie: float | None = None
    ratings_chosen: Mapping[str, float] = field(default_factory=dict)
    ratings_rejected: Mapping[str, float] = field(default_factory=dict)
    votes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0.0 <= self.p_chosen <= 1.0:
            raise DataError(f"pair {self.pair_id}: p_chosen {self.p_chosen} is outside [0, 1]")
        object.__setattr__(self, "p_chosen", without_rounding(self.p_chosen))
        most = 2.0 * min(self.p_chosen, 1.0 - self.p_chosen)
        if self.p_tie is not None and not 0.0 <= self.p_tie <= most + ROUNDING:
            raise DataError(f"pair {self.pair_id}: p_tie {self.p_tie} is outside [0, {most:g}]")
        for name, value in (*self.ratings_chosen.items(), *self.ratings_rejected.items()):
            if not math.isfinite(value):
                raise DataError(f"pair {self.pair_id}: rating {name} {value} is not finite")
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

    @property
    def tie_share(self) -> float:
        """``p_tie``, or what ``p_chosen`` says where ties were not counted."""
        return float(self.is_tie) if self.p_tie is None else self.p_tie


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
    cut; ``aspects`` (N,) predicted ratings by aspect, for models that were trained on some."""

    value: FloatArray
    heads: FloatArray
    n_tokens: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    aspects: Mapping[str, FloatArray] = field(default_factory=dict)


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


class Quiet(Callbacks):
    """Passes on the wish to stop, and nothing of what is told: for a part of work that its caller reports on."""

    def __init__(self, told: Callbacks) -> None:
        self._told = told

    def should_stop(self) -> bool:
        return self._told.should_stop()


@runtime_checkable
class RewardScorer(Protocol):
    """Anything that gives each response one score, higher is better."""

    @property
    def kind(self) -> str:
        """What made the scores: ``starter``, ``transformer``, ``dpo``, ``random`` and so on."""
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


@runtime_checkable
class PairScorer(Protocol):
    """Anything that compares two responses to one prompt, whether or not it can score one by itself."""

    @property
    def kind(self) -> str:
        """What made the differences: ``pair``, ``generative`` and so on."""
        ...

    @property
    def template_hash(self) -> str:
        """Hash of how a pair becomes the model's input."""
        ...

    @property
    def temperature(self) -> float:
        """T of ``P(chosen beats rejected) = sigmoid(difference / T)``."""
        ...

    def difference(self, pairs: Sequence[Pair], *, callbacks: Callbacks | None = None) -> NDArray[np.float64]:
        """Difference (N,) of each pair, above 0 where ``chosen`` is the better one; NaN where there is no verdict."""
        ...


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished model folder. ``metrics`` are final figures, ``counts`` say what the data held:
    ``train``, ``validation``, ``test_ignored``, ``ties``, ``overlong`` pairs and so on. ``layout`` is how a model that
    reads tokens read its rows, ``tree`` (prompts read once, no padding) or ``padded``, and ``padded_because`` why it
    was not ``tree``; both are empty for other kinds."""

    path: Path
    metrics: dict[str, float]
    best_step: int
    seconds: float
    counts: dict[str, int]
    layout: str = ""
    padded_because: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "path": str(self.path),
            "metrics": self.metrics,
            "best_step": self.best_step,
            "seconds": self.seconds,
            "counts": self.counts,
            "layout": self.layout,
            "padded_because": self.padded_because,
        }


class PreviewToken(NamedTuple):
    """``text`` is the part of the conversation that the token stands for; one letter may take several tokens."""

    id: int
    text: str
    is_prompt: bool
    is_special: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """``text`` is the whole rendered conversation, ``tokens`` what is read of it: at most ``max_length``.
    ``cut_prompt`` and ``cut_answer`` count the tokens that are not. ``warnings`` are for people."""

    text: str
    tokens: tuple[PreviewToken, ...]
    truncated: bool
    cut_prompt: int
    cut_answer: int
    max_length: int
    template_hash: str
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; a token is ``[id, text, is_prompt, is_special]``."""
        return asdict(self) | {"tokens": [list(token) for token in self.tokens], "warnings": [*self.warnings]}

    def __str__(self) -> str:
        """For a terminal: the text, then its tokens with their ids, special ones after ``<>``."""
        lines = [
            self.text,
            f"{len(self.tokens):,} tokens of at most {self.max_length:,}, template {self.template_hash}",
        ]
        for name, is_prompt, cut in (("prompt", True, self.cut_prompt), ("answer", False, self.cut_answer)):
            tokens = [token for token in self.tokens if token.is_prompt == is_prompt]
            shown = " ".join(f"{'<>' if t.is_special else ''}{t.text!r}:{t.id}" for t in tokens)
            lines.append(f"{name}, {len(tokens):,} tokens{f' ({cut:,} cut)' if cut else ''}: {shown}")
        return "\n".join([*lines, *(f"! {warning}" for warning in self.warnings)])
