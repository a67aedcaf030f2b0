"""What a step reports of itself."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ..metrics import credit
from .batches import EncodedPair


@dataclass(slots=True)
class StepFigures:
    """Sums over the pairs of one step, or of a process's share of it; ``terms`` of the loss by name, ``total`` among
    them. ``tokens`` were computed, ``padded`` would have been as rectangles. ``score`` and ``size`` are the sums of
    the 2·pairs scores and of their absolute values, ``lowest`` and ``highest`` their range."""

    pairs: int = 0
    tokens: int = 0
    padded: int = 0
    terms: dict[str, float] = field(default_factory=dict)
    right: float = 0.0
    decided: int = 0
    margin: float = 0.0
    score: float = 0.0
    size: float = 0.0
    lowest: float = float("inf")
    highest: float = float("-inf")

    def add(
        self, pairs: Sequence[EncodedPair], tokens: int, terms: Mapping[str, float], scores: np.ndarray
    ) -> None:
        """Count a batch of N pairs; ``scores`` (2, N) of the chosen and the rejected responses."""
        delta, p = scores[0] - scores[1], np.array([pair.p_chosen for pair in pairs])
        decided = p != 0.5
        longest = max(len(side.ids) for pair in pairs for side in (pair.chosen, pair.rejected))
        self.merge(
            StepFigures(
                pairs=len(pairs),
                tokens=tokens,
                padded=2 * len(pairs) * longest,
                terms=dict(terms),
                right=float(credit(delta, p)[decided].sum()),
                decided=int(decided.sum()),
                margin=float((delta * np.where(p < 0.5, -1.0, 1.0))[decided].sum()),
                score=float(scores.sum(dtype=np.float64)),
                size=float(np.abs(scores).sum(dtype=np.float64)),
                lowest=float(scores.min()),
                highest=float(scores.max()),
            )
        )

    def merge(self, other: StepFigures) -> None:
        """Count another's pairs, too."""
        for name in ("pairs", "tokens", "padded", "right", "decided", "margin", "score", "size"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, value in other.terms.items():
            self.terms[name] = self.terms.get(name, 0.0) + value
        self.lowest, self.highest = min(self.lowest, other.lowest), max(self.highest, other.highest)

    @classmethod
    def total(cls, parts: Iterable[StepFigures]) -> StepFigures:
        """All shares of a step together."""
        out = cls()
        for part in parts:
            out.merge(part)
        return out

    @property
    def mean_size(self) -> float:
        """Mean absolute score."""
        return self.size / (2 * self.pairs)

    def values(self, seconds: float) -> dict[str, float]:
        """Live figures of a step that took ``seconds``: means over its pairs, its scores and its tokens."""
        mean = {name: value / self.pairs for name, value in self.terms.items()}
        out = {
            "loss": mean.pop("total"),
            **{f"loss_{name}": value for name, value in mean.items()},
            "score_mean": self.score / (2 * self.pairs),
            "score_min": self.lowest,
            "score_max": self.highest,
            "pairs": float(self.pairs),
            "tokens": float(self.tokens),
            "pairs_per_second": self.pairs / max(seconds, 1e-9),
            "tokens_per_second": self.tokens / max(seconds, 1e-9),
            "padding_avoided": 1.0 - self.tokens / self.padded,
            "memory_mb": peak_memory_mb(),
        }
        if self.decided:
            out["accuracy"] = self.right / self.decided
            out["margin"] = self.margin / self.decided
        return out


def peak_memory_mb() -> float:
    """Peak memory: of the GPU where one is used, else of this process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
