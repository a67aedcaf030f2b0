"""The loss of a run: the terms that its settings ask for, added up, and what is learned beside the model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..config import TransformerConfig
from ..errors import CorruptModelError, DataError
from ..folder import MODEL_CARD, read_json
from .heads import make_heads, start_heads
from .losses import aspect_regression, bradley_terry, centering, log_barrier, rao_kupper, smooth

# In a folder of their own: servers such as vLLM load every safetensors file that lies beside the model's.
ASPECT_HEADS = Path("aspects") / "model.safetensors"
# ln θ stays above this, so that P(tie) has a logarithm.
LEAST_LOG_THRESHOLD = 1e-6


class Labeled(Protocol):
    """What the labels of a pair are read from; ``ratings`` are (chosen, rejected), NaN where missing;
    ``draws`` how often each of K heads draws the pair."""

    @property
    def margin(self) -> float: ...
    @property
    def p_chosen(self) -> float: ...
    @property
    def p_tie(self) -> float: ...
    @property
    def weight(self) -> float: ...
    @property
    def ratings(self) -> tuple[tuple[float, ...], tuple[float, ...]]: ...
    @property
    def draws(self) -> tuple[float, ...]: ...


@dataclass(frozen=True, slots=True)
class Labels:
    """What people said of N pairs, float32: ``margin`` (signed towards the preferred side), ``p_chosen``,
    ``p_tie``, ``weight`` (N,), ``ratings`` (2, N, A) of the chosen and the rejected responses, NaN where missing,
    and ``draws`` (N, K), a factor on the weight for each head."""

    margin: Tensor
    p_chosen: Tensor
    p_tie: Tensor
    weight: Tensor
    ratings: Tensor
    draws: Tensor

    @classmethod
    def of(cls, pairs: Sequence[Labeled]) -> Labels:
        """Stack the labels of pairs."""
        sides = [[pair.ratings[side] for pair in pairs] for side in (0, 1)]
        return cls(
            torch.tensor([pair.margin for pair in pairs], dtype=torch.float32),
            torch.tensor([pair.p_chosen for pair in pairs], dtype=torch.float32),
            torch.tensor([pair.p_tie for pair in pairs], dtype=torch.float32),
            torch.tensor([pair.weight for pair in pairs], dtype=torch.float32),
            torch.tensor(sides, dtype=torch.float32),
            torch.tensor([pair.draws for pair in pairs], dtype=torch.float32),
        )

    def to(self, device: torch.device) -> Labels:
        """The same labels elsewhere."""
        return Labels(*(getattr(self, name).to(device) for name in self.__slots__))


class Objective(nn.Module):
    """Sum of the terms named in the settings (see ``TransformerConfig``), each kept apart.

    What it learns: ``raw_threshold`` () for ties, with ``ln θ = softplus(raw_threshold)`` > 0, ``aspects``, one
    linear row for each aspect on a model's pooled state of ``width``, and ``heads``, where there are more than one
    (see ``ensemble``). All float32; without them it has no parameter. They are drawn from the settings' seed alone.
    """

    def __init__(self, config: TransformerConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.raw_threshold = nn.Parameter(torch.zeros(())) if config.ranking == "rao_kupper" else None
        self.heads: nn.Linear | None = None
        self.aspects = aspect_heads(width, len(config.aspects)) if config.aspects else None
        if self.aspects is not None:
            generator = torch.Generator().manual_seed(config.seed + 1)  # not the ranking head's own numbers
            with torch.no_grad():
                drawn = torch.randn(self.aspects.weight.shape, generator=generator)
                self.aspects.weight.copy_(drawn * (1.0 / (width + 1)) ** 0.5)

    @property
    def log_threshold(self) -> Tensor | None:
        """ln θ () of the ties, or None where they are no outcome of their own."""
        return None if self.raw_threshold is None else F.softplus(self.raw_threshold) + LEAST_LOG_THRESHOLD

    @property
    def tie_threshold(self) -> float | None:
        """θ > 1, or None."""
        found = self.log_threshold
        return None if found is None else math.exp(float(found.detach()))

    def start_from(self, pairs: Sequence[Labeled]) -> None:
        """Start where a model that knows nothing is best: θ from the pairs' share of ties, aspects at their mean
        ratings. Raises ``DataError`` for an aspect that no pair rates."""
        with torch.no_grad():
            if self.raw_threshold is not None:
                total = sum(pair.weight for pair in pairs)
                ties = sum(pair.weight * pair.p_tie for pair in pairs) / total
                ties = min(0.9, max(0.01, ties))
                self._set_threshold((1.0 + ties) / (1.0 - ties))  # P(tie) at Δ = 0 is (θ - 1) / (θ + 1)
            if self.aspects is not None:
                for row, name in enumerate(self.config.aspects):
                    said = [side[row] for pair in pairs for side in pair.ratings]
                    rated = [rating for rating in said if not math.isnan(rating)]
                    if not rated:
                        raise DataError(f"no training pair rates the aspect {name}")
                    self.aspects.bias[row] = sum(rated) / len(rated)

    def adopt(self, base: Path) -> None:
        """Go on from what the model in folder ``base`` learned: its θ, and its heads of the same aspects."""
        card = read_json(base / MODEL_CARD) if (base / MODEL_CARD).is_file() else {}
        names = list(card.get("aspects") or ())
        with torch.no_grad():
            if self.raw_threshold is not None and card.get("tie_threshold"):
                self._set_threshold(float(card["tie_threshold"]))
            shared = [name for name in self.config.aspects if name in names]
            if self.aspects is not None and shared:
                heads = load_aspects(base, names, self.aspects.in_features)
                for name in shared:
                    here, there = self.config.aspects.index(name), names.index(name)
                    self.aspects.weight[here] = heads.weight[there]
                    self.aspects.bias[here] = heads.bias[there]

    def ensemble(self, model: nn.Module, base: Path | None) -> None:
        """Train the settings' number of heads in place of the model's own, which becomes their mean."""
        if self.config.heads > 1:
            self.heads = make_heads(model, self.config.heads)
            start_heads(self.heads, model, base, self.config.seed)

    def head_scores(self, scores: Tensor, states: Tensor) -> Tensor:
        """What the terms are computed from: the model's own scores (R,), or those of K heads (R, K) on the pooled
        states (R, H)."""
        found: Tensor = scores if self.heads is None else self.heads(states)
        return found

    def _set_threshold(self, threshold: float) -> None:
        assert self.raw_threshold is not None
        self.raw_threshold.fill_(math.log(math.expm1(max(math.log(threshold), 2 * LEAST_LOG_THRESHOLD))))

    def forward(
        self, chosen: Tensor, rejected: Tensor, labels: Labels, states: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Each term, times its factor, and their ``total``: scalars, sums over the N pairs times their weights.

        ``chosen``, ``rejected`` (N,) are scores, or (N, K) those of K heads: then each term is the mean over heads,
        head k counting a pair ``draws[:, k]`` times. ``states`` are both sides' pooled states (N, H), needed where
        there are aspects. The caller divides by the number of pairs of the whole step, so that splitting a step
        into batches of unequal size changes nothing. Raises ``ValueError`` for other shapes.
        """
        c = self.config
        if labels.weight.shape != chosen.shape[:1]:
            raise ValueError(
                f"weight must have shape {tuple(chosen.shape[:1])}, got {tuple(labels.weight.shape)}"
            )
        heads = labels.draws.shape[1]
        if heads == 1:
            terms = self._score_terms(chosen, rejected, labels)
        else:
            terms = self._mean_over_heads(chosen, rejected, labels, heads)
        if self.aspects is not None:
            if states is None:
                raise ValueError("aspects need the pooled states of both sides")
            # One row of each pair holds both responses' ratings, so that each rating of a pair counts the same.
            predicted = torch.cat([self.rate(side) for side in states], dim=1)  # (N, 2A)
            errors = aspect_regression(predicted, torch.cat([*labels.ratings], dim=1))
            terms["aspects"] = c.aspect_weight * errors
        sums = {name: (labels.weight * values).sum() for name, values in terms.items()}
        return {**sums, "total": torch.stack([*sums.values()]).sum()}

    def rate(self, states: Tensor) -> Tensor:
        """Predicted ratings (N, A) of pooled states (N, H)."""
        if self.aspects is None:
            raise ValueError("these settings name no aspect")
        rated: Tensor = self.aspects(states.to(self.aspects.weight.dtype))
        return rated

    def _mean_over_heads(
        self, chosen: Tensor, rejected: Tensor, labels: Labels, heads: int
    ) -> dict[str, Tensor]:
        """Each term (N,) as the mean over heads of their weighted ones."""
        if not chosen.shape == rejected.shape == labels.draws.shape:
            raise ValueError(
                f"chosen and rejected must have shape {tuple(labels.draws.shape)}, "
                f"got {tuple(chosen.shape)} and {tuple(rejected.shape)}"
            )
        wide = dataclasses.replace(
            labels,
            **{name: getattr(labels, name).repeat(heads) for name in ("margin", "p_chosen", "p_tie")},
        )
        found = self._score_terms(chosen.T.reshape(-1), rejected.T.reshape(-1), wide)  # each (K·N,)
        return {name: (values.view(heads, -1) * labels.draws.T).mean(dim=0) for name, values in found.items()}

    def _score_terms(self, chosen: Tensor, rejected: Tensor, labels: Labels) -> dict[str, Tensor]:
        """The terms of one head's scores, each (N,)."""
        c = self.config
        terms = {"ranking": self._ranking(chosen - rejected, labels)}
        if c.centering:
            terms["centering"] = c.centering * centering(chosen, rejected)
        if c.barrier:
            both = log_barrier(chosen, c.barrier_limit) + log_barrier(rejected, c.barrier_limit)
            terms["barrier"] = c.barrier * both / 2
        return terms

    def _ranking(self, delta: Tensor, labels: Labels) -> Tensor:
        c, threshold = self.config, self.log_threshold
        p_chosen = smooth(labels.p_chosen, c.label_smoothing, 1 / 2)
        if threshold is None:
            return bradley_terry(delta, labels.margin, p_chosen, gamma=c.focal)
        p_tie = smooth(labels.p_tie, c.label_smoothing, 1 / 3)
        return rao_kupper(delta, labels.margin, p_chosen, p_tie, threshold, gamma=c.focal)


def rating_rows(
    chosen: Mapping[str, float], rejected: Mapping[str, float], names: Iterable[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Ratings of both responses in the order of ``names``, NaN where missing."""
    wanted = tuple(names)
    return (
        tuple(float(chosen.get(name, math.nan)) for name in wanted),
        tuple(float(rejected.get(name, math.nan)) for name in wanted),
    )


def aspect_heads(width: int, count: int) -> nn.Linear:
    """One float32 linear head for each of ``count`` aspects, biases 0."""
    heads = nn.Linear(width, count, dtype=torch.float32)
    nn.init.zeros_(heads.bias)
    return heads


def save_aspects(folder: Path, heads: nn.Linear) -> None:
    """Write the heads beside a model."""
    path = folder / ASPECT_HEADS
    path.parent.mkdir()
    save_file({name: value.detach().cpu().contiguous() for name, value in heads.state_dict().items()}, path)


def load_aspects(folder: Path, names: Sequence[str], width: int) -> nn.Linear:
    """The heads of a model folder; raises ``CorruptModelError`` where they do not fit names and width."""
    heads = aspect_heads(width, len(names))
    try:
        heads.load_state_dict(load_file(folder / ASPECT_HEADS))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CorruptModelError(f"the aspect heads cannot be read: {error}") from error
    return heads
