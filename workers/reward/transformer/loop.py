"""The training loop: steps, schedule, live figures, early stopping, checkpoints. One object, one run."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributed.tensor import DTensor

from ..config import TransformerConfig
from ..errors import NotFiniteError, ScoresExplodedError, Stopped
from ..metrics import decided_accuracy, log_loss
from ..types import Callbacks
from .batches import EncodedPair, collate
from .checkpoint import Progress, best_folder, prune, save_checkpoint, save_weights, step_folder
from .distributed import ALONE, World, deal
from .figures import StepFigures
from .heads import write_mean
from .inference import score_rows
from .objective import Objective
from .optimizer import CompensatedAdamW
from .packed import layout_of
from .plan import Layout, Plan, Shapes, plan_pairs
from .sequence import reader_of
from .sharding import add_gradients, clip
from .trees import prompt_of

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
    weights = [p for p in parts.parameters() if p.requires_grad and p is not objective.raw_threshold]
    whole, sharded = ([p for p in weights if isinstance(p, DTensor) is kind] for kind in (False, True))
    threshold = [] if objective.raw_threshold is None else [objective.raw_threshold]
    scale = max(1.0, THRESHOLD_RATE / config.learning_rate)

    def by_decay(weights: list[nn.Parameter]) -> list[dict[str, Any]]:
        return [
            {"params": [p for p in weights if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
        ]

    groups = [*by_decay(whole), {"params": threshold, "weight_decay": 0.0, "rate_scale": scale}]
    if sharded:  # in groups of their own: no fused step takes both
        groups += by_decay(sharded)
    options: dict[str, Any] = {"lr": config.learning_rate, "betas": (0.9, 0.98), "eps": 1e-8}
    if any(p.dtype == torch.bfloat16 for p in weights):
        return CompensatedAdamW(groups, **options)
    return torch.optim.AdamW(groups, **options, fused=True)


def learning_rate(step: int, total: int, config: TransformerConfig) -> float:
    """Rate of step 0..total-1: linear warm-up from one part of the peak, then a half cosine towards 0."""
    warmup = max(1, round(config.warmup_share * total))
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


def steps_in_all(shapes: Shapes, config: TransformerConfig, layout: Layout) -> int:
    """Steps of the whole run; a last part of an epoch is rounded up."""
    total, left, epoch = 0.0, config.epochs, 0
    while left > 0 and not (config.max_steps and total >= config.max_steps):
        batches = len(plan_pairs(shapes, config.batch_tokens, config.seed, epoch, layout).batches)
        total += min(1.0, left) * math.ceil(batches / config.accumulate)
        left, epoch = left - 1, epoch + 1
    whole = max(1, math.ceil(total - 1e-9))
    return min(whole, config.max_steps) if config.max_steps else whole


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
    world: World = ALONE
    total: int = 0
    started: float = 0.0
    written: int = -1  # the step of the newest checkpoint of this process
    shortest: EncodedPair | None = None

    def run(self) -> None:
        """Train to the end or to early stopping. Raises ``Stopped`` (checkpointed), ``NotFiniteError`` or
        ``ScoresExplodedError``."""
        layout = layout_of(self.model)
        shapes = Shapes.of_pairs(self.train_pairs)
        self.total = steps_in_all(shapes, self.config, layout)
        self.started = time.monotonic() - self.progress.seconds
        self.model.train()
        plan: Plan | None = None
        planned = -1
        while self.progress.step < self.total and self.progress.bad < self.config.patience:
            if self.world.any(self.told.should_stop()):
                self._checkpoint()
                raise Stopped(f"stopped at step {self.progress.step} of {self.total}")
            if plan is None or planned != self.progress.epoch:
                planned = self.progress.epoch
                plan = plan_pairs(shapes, self.config.batch_tokens, self.config.seed, planned, layout)
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
        if self.written == self.progress.step:
            return
        folder = step_folder(self.work, self.progress.step)
        self.progress.seconds = time.monotonic() - self.started
        parts = trained_parts(self.model, self.objective)
        save_checkpoint(folder, parts, self.optimizer, self.progress, write=self.world.is_first)
        if self.world.is_first:
            prune(self.work, self.config.keep_checkpoints)
        self.written = self.progress.step
        self.told.checkpointed()

    def _step(self, batches: Sequence[Sequence[int]]) -> None:
        began, step = time.monotonic(), self.progress.step + 1
        rate = learning_rate(self.progress.step, self.total, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("rate_scale", 1.0)
        self.world.seed(self.config.seed, step)
        count = sum(len(b) for b in batches)
        mine = StepFigures()
        for shares in deal(batches, self.world.data_size, self._prompt, self._tokens):
            self._backward(shares[self.world.data_rank], count, mine)
        figures = StepFigures.total(self.world.gather(mine))
        trained = [*trained_parts(self.model, self.objective).parameters()]
        add_gradients(trained, self.world)
        norm = clip(trained, self.config.clip_norm)
        self._check(figures, norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.objective.heads is not None:
            write_mean(self.objective.heads, self.model)
        if step % self.config.log_every == 0 or step in (1, self.total):
            values = figures.values(time.monotonic() - began)
            values |= {"learning_rate": rate, "grad_norm": norm}
            if (threshold := self.objective.tie_threshold) is not None:
                values["tie_threshold"] = threshold
            self.told.metric(step, values)

    def _check(self, figures: StepFigures, norm: float) -> None:
        """What ends a run at once: numbers that are not finite, and scores that have left every useful range."""
        step, limit = self.progress.step + 1, self.config.score_limit
        for name, value in (("loss", figures.terms["total"]), ("gradient", norm)):
            if not math.isfinite(value):
                raise NotFiniteError(f"the {name} is not finite at step {step}; try a lower rate")
        if figures.mean_size > limit:
            raise ScoresExplodedError(
                f"the scores' mean size is {figures.mean_size:.3g} at step {step}, beyond score_limit {limit:g}; "
                "try a lower rate, or centering"
            )

    def _backward(self, share: Sequence[int], count: int, figures: StepFigures) -> None:
        """Add the gradients of these pairs, of ``count`` in the step. Without any, a pass with loss 0 keeps in step
        with the other processes."""
        pairs = [self.train_pairs[i] for i in share] or [self._shortest()]
        device = next(self.model.parameters()).device
        batch = collate(pairs, layout_of(self.model), self.pad_id).to(device)
        scores, states = reader_of(self.world)(self.model, batch.rows, dropout=self.config.dropout)
        scores = self.objective.head_scores(scores, states)
        chosen, rejected = scores[batch.chosen], scores[batch.rejected]  # (B,) or (B, K) float32
        sides = (states[batch.chosen], states[batch.rejected]) if self.config.aspects else None
        terms = self.objective(chosen, rejected, batch.labels, sides)
        (terms["total"] * (1.0 / count if share else 0.0)).backward()
        if share:
            values = torch.stack([*terms.values()]).tolist()  # one wait for the device
            both = torch.stack([chosen, rejected]).detach().reshape(2, len(pairs), -1).mean(dim=2)
            named = dict(zip(terms, values, strict=True))
            figures.add(pairs, batch.rows.input_ids.numel(), named, both.cpu().numpy())

    def _prompt(self, number: int) -> tuple[int, ...]:
        return prompt_of(self.train_pairs[number].chosen)

    def _tokens(self, number: int) -> int:
        return len(self.train_pairs[number].chosen.ids) + len(self.train_pairs[number].rejected.ids)

    def _shortest(self) -> EncodedPair:
        """Something to pass over where there is nothing to train on."""
        if self.shortest is None:
            self.shortest = self.train_pairs[min(range(len(self.train_pairs)), key=self._tokens)]
        return self.shortest

    def _evaluate(self) -> None:
        """Validation loss decides which weights are kept; ties among people count in it, not in accuracy."""
        budget = self.config.score_tokens
        delta = pair_differences(self.model, self.validation_pairs, self.pad_id, budget, self.world)
        p = np.array([pair.p_chosen for pair in self.validation_pairs])
        ties = [pair.p_tie for pair in self.validation_pairs]
        weight = [pair.weight for pair in self.validation_pairs]
        threshold = self.objective.tie_threshold
        loss = log_loss(delta, p, 1.0, weight=weight, p_tie=ties, tie_threshold=threshold)
        accuracy = decided_accuracy(delta, p)
        self.told.metric(self.progress.step, {"validation_loss": loss, "validation_accuracy": accuracy})
        if loss < self.progress.best_loss:
            self.progress.best_loss, self.progress.best_accuracy = loss, accuracy
            self.progress.best_step, self.progress.bad = self.progress.step, 0
            parts = trained_parts(self.model, self.objective)
            save_weights(parts, best_folder(self.work, self.progress.step), write=self.world.is_first)
        else:
            self.progress.bad += 1


def pair_differences(
    model: nn.Module, pairs: Sequence[EncodedPair], pad_id: int, budget: int, world: World = ALONE
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """``chosen - rejected`` (N,) of encoded pairs, without gradients."""
    scores = score_rows(
        model, [row for p in pairs for row in (p.chosen, p.rejected)], pad_id, budget, world=world
    )
    return scores[0::2].astype(np.float64) - scores[1::2]
