"""The training loop: steps, schedule, live figures, early stopping, checkpoints. One object, one run."""

from __future__ import annotations

import logging
import math
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..config import TransformerConfig
from ..errors import NotFiniteError, Stopped
from ..metrics import credit, log_loss
from ..types import Callbacks
from .batches import EncodedPair, collate
from .checkpoint import Progress, best_folder, prune, save_checkpoint, save_weights, step_folder
from .inference import score_rows
from .objective import Objective
from .packed import layout_of, read_rows
from .plan import Layout, Plan, plan_pairs

log = logging.getLogger(__name__)

# The tie threshold is one number in units of scores: at a rate made for weights it would hardly move.
THRESHOLD_RATE = 1e-2


def trained_parts(model: nn.Module, objective: Objective) -> nn.ModuleDict:
    """Everything that is trained, checkpointed and kept at its best, as one module."""
    return nn.ModuleDict({"model": model, "objective": objective})


def make_optimizer(model: nn.Module, objective: Objective, config: TransformerConfig) -> torch.optim.AdamW:
    """AdamW; norms and biases (one-dimensional parameters) are not decayed. ``rate_scale`` of a group multiplies
    the schedule's rate."""
    parts = trained_parts(model, objective)
    parameters = [p for p in parts.parameters() if p.requires_grad]
    threshold = [p for p in parameters if p is objective.raw_threshold]
    weights = [p for p in parameters if p is not objective.raw_threshold]
    scale = max(1.0, THRESHOLD_RATE / config.learning_rate)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
        {"params": threshold, "weight_decay": 0.0, "rate_scale": scale},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), eps=1e-8, fused=True)


def learning_rate(step: int, total: int, config: TransformerConfig) -> float:
    """Rate of step 0..total-1: linear warm-up from one part of the peak, then a half cosine towards 0."""
    warmup = max(1, round(config.warmup_share * total))
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


def steps_in_all(pairs: Sequence[EncodedPair], config: TransformerConfig, layout: Layout) -> int:
    """Steps of the whole run; a last part of an epoch is rounded up."""
    total, left, epoch = 0.0, config.epochs, 0
    while left > 0 and not (config.max_steps and total >= config.max_steps):
        batches = len(plan_pairs(pairs, config.batch_tokens, config.seed, epoch, layout).batches)
        total += min(1.0, left) * math.ceil(batches / config.accumulate)
        left, epoch = left - 1, epoch + 1
    whole = max(1, math.ceil(total - 1e-9))
    return min(whole, config.max_steps) if config.max_steps else whole


@dataclass(slots=True)
class StepFigures:
    """Sums over the pairs of one step; ``terms`` of the loss by name, ``total`` among them."""

    pairs: int = 0
    tokens: int = 0  # computed, and what the step would compute as a padded rectangle
    padded: int = 0
    terms: dict[str, float] = field(default_factory=dict)
    right: float = 0.0
    decided: int = 0
    margin: float = 0.0


@dataclass(slots=True)
class Loop:
    """State of one run. ``progress`` is where it stands; everything else follows from settings and data."""

    model: nn.Module
    objective: Objective
    optimizer: torch.optim.AdamW
    train_pairs: list[EncodedPair]
    validation_pairs: list[EncodedPair]
    config: TransformerConfig
    progress: Progress
    pad_id: int
    work: Path
    told: Callbacks
    total: int = 0
    started: float = 0.0

    def run(self) -> None:
        """Train to the end or to early stopping. Raises ``Stopped`` (checkpointed) or ``NotFiniteError``."""
        layout = layout_of(self.model)
        self.total = steps_in_all(self.train_pairs, self.config, layout)
        self.started = time.monotonic() - self.progress.seconds
        self.model.train()
        plan: Plan | None = None
        planned = -1
        while self.progress.step < self.total and self.progress.bad < self.config.patience:
            if self.told.should_stop():
                self._checkpoint()
                raise Stopped(f"stopped at step {self.progress.step} of {self.total}")
            if plan is None or planned != self.progress.epoch:
                planned = self.progress.epoch
                plan = plan_pairs(
                    self.train_pairs, self.config.batch_tokens, self.config.seed, planned, layout
                )
                log.info("epoch %d: %s", planned, plan)
            at = self.progress.batch
            self._step(plan.batches[at : at + self.config.accumulate])
            self._advance(len(plan.batches))
        self._checkpoint()

    def _advance(self, batches: int) -> None:
        p, c = self.progress, self.config
        p.step += 1
        p.batch += c.accumulate
        epoch_ended = p.batch >= batches
        if epoch_ended:
            p.epoch, p.batch = p.epoch + 1, 0
        last = p.step >= self.total
        due = p.step % c.evaluate_every == 0 if c.evaluate_every else epoch_ended
        if self.validation_pairs and (due or last):
            self._evaluate()
        if p.step % c.checkpoint_every == 0 if c.checkpoint_every else epoch_ended:
            self._checkpoint()
        self.told.progress(p.step, self.total, "train")

    def _checkpoint(self) -> None:
        folder = step_folder(self.work, self.progress.step)
        self.progress.seconds = time.monotonic() - self.started
        parts = trained_parts(self.model, self.objective)
        save_checkpoint(folder, parts, self.optimizer, self.progress)
        prune(self.work, self.config.keep_checkpoints)
        self.told.checkpointed()

    def _step(self, batches: Sequence[Sequence[int]]) -> None:
        began = time.monotonic()
        rate = learning_rate(self.progress.step, self.total, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("rate_scale", 1.0)
        count = sum(len(b) for b in batches)
        figures = StepFigures()
        for batch in batches:
            self._backward([self.train_pairs[i] for i in batch], count, figures)
        trained = trained_parts(self.model, self.objective).parameters()
        norm = float(nn.utils.clip_grad_norm_(trained, self.config.clip_norm))
        if not math.isfinite(norm):
            raise NotFiniteError(
                f"the gradient is not finite at step {self.progress.step + 1}; try a lower rate"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        step = self.progress.step + 1
        if step % self.config.log_every == 0 or step in (1, self.total):
            self._report(step, figures, rate, norm, time.monotonic() - began)

    def _backward(self, pairs: list[EncodedPair], count: int, figures: StepFigures) -> None:
        device = next(self.model.parameters()).device
        batch = collate(pairs, layout_of(self.model), self.pad_id).to(device)
        scores, states = read_rows(self.model, batch.rows, dropout=self.config.dropout)
        chosen, rejected = scores[batch.chosen], scores[batch.rejected]  # (B,) float32
        sides = (states[batch.chosen], states[batch.rejected]) if self.config.aspects else None
        terms = self.objective(chosen, rejected, batch.labels, sides)
        values = torch.stack([*terms.values()]).tolist()  # one wait for the device
        if not math.isfinite(values[-1]):
            raise NotFiniteError(f"the loss is not finite at step {self.progress.step + 1}; try a lower rate")
        (terms["total"] / count).backward()
        delta, p = (chosen - rejected).detach().cpu().numpy(), batch.labels.p_chosen.cpu().numpy()
        decided = p != 0.5
        figures.pairs += len(pairs)
        figures.tokens += batch.rows.input_ids.numel()
        longest = max(len(side.ids) for pair in pairs for side in (pair.chosen, pair.rejected))
        figures.padded += 2 * len(pairs) * longest
        for name, value in zip(terms, values, strict=True):
            figures.terms[name] = figures.terms.get(name, 0.0) + value
        figures.right += float(credit(delta, p)[decided].sum())
        figures.decided += int(decided.sum())
        figures.margin += float((delta * np.where(p < 0.5, -1.0, 1.0))[decided].sum())

    def _report(self, step: int, figures: StepFigures, rate: float, norm: float, seconds: float) -> None:
        mean = {name: value / figures.pairs for name, value in figures.terms.items()}
        values = {
            "loss": mean.pop("total"),
            **{f"loss_{name}": value for name, value in mean.items()},
            "learning_rate": rate,
            "grad_norm": norm,
            "pairs": float(figures.pairs),
            "tokens": float(figures.tokens),
            "pairs_per_second": figures.pairs / max(seconds, 1e-9),
            "tokens_per_second": figures.tokens / max(seconds, 1e-9),
            "padding_avoided": 1.0 - figures.tokens / figures.padded,
            "memory_mb": peak_memory_mb(),
        }
        if figures.decided:
            values["accuracy"] = figures.right / figures.decided
            values["margin"] = figures.margin / figures.decided
        if (threshold := self.objective.tie_threshold) is not None:
            values["tie_threshold"] = threshold
        self.told.metric(step, values)

    def _evaluate(self) -> None:
        """Validation loss decides which weights are kept; ties among people count in it, not in accuracy."""
        delta = pair_differences(self.model, self.validation_pairs, self.pad_id, self.config.score_tokens)
        p = np.array([pair.p_chosen for pair in self.validation_pairs])
        ties = [pair.p_tie for pair in self.validation_pairs]
        loss = log_loss(delta, p, 1.0, p_tie=ties, tie_threshold=self.objective.tie_threshold)
        decided = p != 0.5
        accuracy = float(credit(delta, p)[decided].mean()) if decided.any() else 0.5
        self.told.metric(self.progress.step, {"validation_loss": loss, "validation_accuracy": accuracy})
        if loss < self.progress.best_loss:
            self.progress.best_loss, self.progress.best_accuracy = loss, accuracy
            self.progress.best_step, self.progress.bad = self.progress.step, 0
            parts = trained_parts(self.model, self.objective)
            save_weights(parts, best_folder(self.work, self.progress.step))
        else:
            self.progress.bad += 1


def pair_differences(
    model: nn.Module, pairs: Sequence[EncodedPair], pad_id: int, budget: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """``chosen - rejected`` (N,) of encoded pairs, without gradients."""
    scores = score_rows(model, [row for p in pairs for row in (p.chosen, p.rejected)], pad_id, budget)
    return scores[0::2].astype(np.float64) - scores[1::2]


def peak_memory_mb() -> float:
    """Peak memory: of the GPU where one is used, else of this process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
