"""Measurements of one method in a process of its own, so that peak memory is this method's alone.

Usage: python -m benchmarks.reward.measure. Reads lines of JSON, what to measure, and answers each with one: units
(pairs or responses) a second, counted by their tokens, tokens computed a second, and peak memory in MiB (on a CPU above
the model, on a GPU with it). Where the memory does not do, the rate is 0. While it waits for the next line, another
method has the machine.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from workers.reward import Callbacks, Item, Pair, open_reward_model, train
from workers.reward.transformer.packed import layout_of
from workers.reward.transformer.plan import plan_rows

from .cases import MAX_LENGTH, base_config, encoder_of, pairs_of
from .machines import MACHINES, HostMeter, Machine

# Trainers that group by length do so within this many batches (transformers' own number).
MEGABATCH = 50


@dataclass
class Clock:
    """Units, computed tokens and steps since the start, and when the last step ended."""

    meter: HostMeter
    units: float = 0.0
    tokens: float = 0.0
    steps: int = 0
    began: float = 0.0
    ended: float = 0.0

    def start(self) -> None:
        self.meter.start()
        self.began = time.perf_counter()

    def step(self, units: float, tokens: float = 0.0) -> None:
        self.meter.wait()
        self.units, self.tokens, self.steps = self.units + units, self.tokens + tokens, self.steps + 1
        self.ended = time.perf_counter()

    @property
    def spent(self) -> float:
        return self.ended - self.began

    def result(self, read: Sequence[int], mean: float) -> dict[str, float]:
        """``read`` are the tokens of each unit by itself, ``mean`` of these on average over the case."""
        return {
            "rate": sum(read) / mean / self.spent,
            "tokens": self.tokens / self.spent,
            "step": self.units / self.steps,
            "seconds": self.spent,
            "memory": self.meter.peak(),
        }


@cache
def tokens_a_pair(case: str, base: Path) -> float:
    """On average over the case, both rows by themselves."""
    return statistics.fmean(tokens_read(base, pairs_of(case, seed=0, most=300)))


def tokens_read(base: Path, pairs: Sequence[Pair]) -> list[int]:
    """Of each pair, both rows by themselves."""
    encoder = encoder_of(base)
    return [
        sum(len(encoder.encode(pair.messages, text).ids) for text in (pair.chosen, pair.rejected))
        for pair in pairs
    ]


def ours_training(
    machine: Machine, case: str, base: Path, seed: int, pairs: int, budget: int, accumulate: int
) -> dict[str, float]:
    """The library's own ``train``, once over about ``pairs`` pairs."""
    clock = Clock(machine.meter())

    class Watch(Callbacks):
        def metric(self, step: int, values: dict[str, float]) -> None:
            if "pairs" in values:
                clock.step(values["pairs"], values["tokens"])

        def should_stop(self) -> bool:
            if not clock.began:
                clock.start()
            return False

    data = pairs_of(case, seed, pairs)
    mean, read = tokens_a_pair(case, base), tokens_read(base, data)
    config = base_config(
        base,
        machine,
        batch_tokens=budget,
        accumulate=accumulate,
        epochs=1,
        evaluate_every=0,
        checkpoint_every=1_000_000,
    )
    with tempfile.TemporaryDirectory() as folder:
        train("transformer", data, config, Path(folder) / "m", callbacks=Watch())
    return clock.result(read, mean)


def trl_training(
    machine: Machine, case: str, base: Path, seed: int, pairs: int, batch: int, step: int, best: bool
) -> dict[str, float]:
    """TRL's RewardTrainer once over the same token ids with about ``step`` pairs in a step, as it comes or at its best:
    grouped by length, no checkpointing."""
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, TrainerCallback
    from trl import RewardConfig, RewardTrainer
    from trl.trainer.reward_trainer import DataCollatorForPreference

    encoder = encoder_of(base)
    rows: list[dict[str, Any]] = []
    for pair in pairs_of(case, seed, pairs):
        chosen = encoder.encode(pair.messages, pair.chosen).ids
        rejected = encoder.encode(pair.messages, pair.rejected).ids
        rows.append(
            {"chosen_ids": chosen, "rejected_ids": rejected, "length": max(len(chosen), len(rejected))}
        )
    if best:
        rows = in_batches_by_length(rows, batch, seed)
    mean = tokens_a_pair(case, base)
    clock, computed = Clock(machine.meter()), list[int]()

    class Counting(DataCollatorForPreference):
        def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
            made = super().torch_call(examples)
            computed.append(made["input_ids"].numel())
            return made

    class Watch(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.start()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            clock.step(args.per_device_train_batch_size * args.gradient_accumulation_steps)

    options: dict[str, Any] = {**machine.trl}
    if best:
        options |= {"train_sampling_strategy": "sequential", "gradient_checkpointing": False}
        options |= machine.trl_best
    with tempfile.TemporaryDirectory() as folder:
        config = RewardConfig(
            output_dir=folder,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=max(1, round(step / batch)),
            num_train_epochs=1,
            learning_rate=1e-4,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            max_length=None,
            logging_steps=1_000_000,
            seed=seed,
            **options,
        )
        RewardTrainer(
            model=AutoModelForSequenceClassification.from_pretrained(
                str(base), num_labels=1, dtype=getattr(torch, machine.dtype)
            ),
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=encoder.tokenizer,
            data_collator=Counting(pad_token_id=encoder.tokenizer.pad_token_id),
            callbacks=[Watch()],
        ).train()
    clock.tokens = sum(computed)
    return clock.result([len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in rows], mean)


def in_batches_by_length(rows: list[dict[str, Any]], batch: int, seed: int) -> list[dict[str, Any]]:
    """Rows in the batches that transformers' length-grouping sampler makes, the batches in random order."""
    rng = random.Random(seed)
    order = list(range(len(rows)))
    rng.shuffle(order)
    size = batch * min(len(rows) // (batch * 4), MEGABATCH) or 1
    batches = []
    for start in range(0, len(order), size):
        by_length = sorted(order[start : start + size], key=lambda i: -int(rows[i]["length"]))
        batches += [by_length[at : at + batch] for at in range(0, len(by_length), batch)]
    rng.shuffle(batches)
    return [rows[i] for part in batches for i in part]


def items_of(case: str, seed: int, most: int = 2000) -> list[Item]:
    """Distinct responses of a case with their prompts."""
    texts = dict.fromkeys((p.messages, text) for p in pairs_of(case, seed) for text in (p.chosen, p.rejected))
    return [Item(str(i), messages, text) for i, (messages, text) in enumerate(list(texts)[:most])]


def ours_scoring(machine: Machine, case: str, model: Path, seed: int, seconds: float) -> dict[str, float]:
    """``score`` of the opened model, on as many items as fit the time."""
    scorer, items = open_reward_model(model, dtype=machine.dtype), items_of(case, seed)
    lengths = [len(scorer.encoder.encode(item.messages, item.response).ids) for item in items]
    scorer.score(items[: machine.warm_up_ours])
    clock = Clock(machine.meter())
    clock.start()
    parts: list[list[Item]] = []
    size, at = 64, 0
    while at < len(items) and (not parts or clock.spent < seconds):
        parts.append(items[at : at + size])
        scorer.score(parts[-1])
        clock.step(len(parts[-1]))
        at, size = at + size, size * 2
    clock.tokens = sum(planned_tokens(scorer, part) for part in parts)
    return clock.result(lengths[:at], statistics.fmean(lengths))


def planned_tokens(scorer: Any, items: Sequence[Item]) -> int:
    """Tokens that our scorer computes for items given to it in one call."""
    rows = dict.fromkeys(scorer.encoder.encode(item.messages, item.response) for item in items)
    return plan_rows([*rows], scorer.budget, layout_of(scorer.model)).computed


def pipeline_scoring(
    machine: Machine, case: str, model: Path, seed: int, seconds: float, batch: int
) -> dict[str, float]:
    """transformers' text-classification pipeline on the same rendered texts."""
    from transformers import pipeline

    encoder = encoder_of(model)
    texts = ["".join(encoder.render(item.messages, item.response)) for item in items_of(case, seed)]
    classify = pipeline(
        "text-classification", model=str(model), tokenizer=encoder.tokenizer, device=machine.device,
        dtype=getattr(torch, machine.dtype),
    )  # fmt: skip
    options: dict[str, Any] = {"function_to_apply": "none", "truncation": True, "max_length": MAX_LENGTH}
    classify(texts[: machine.warm_up_pipeline], batch_size=batch, **options)
    lengths = [
        len(ids) for ids in encoder.tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    ]
    clock = Clock(machine.meter())
    clock.start()
    size, at = 64, 0
    while at < len(texts) and (not at or clock.spent < seconds):
        part = texts[at : at + size]
        classify(part, batch_size=batch, **options)
        clock.step(len(part))
        at += size
    clock.tokens = padded_tokens(lengths[:at], batch)
    return clock.result(lengths[:at], statistics.fmean(lengths))


def padded_tokens(lengths: Sequence[int], batch: int) -> int:
    """Tokens of rows of these lengths in padded batches, in the order given."""
    parts = [lengths[at : at + batch] for at in range(0, len(lengths), batch)]
    return sum(len(part) * max(part) for part in parts)


METHODS = {
    "ours-training": ours_training,
    "trl-training": trl_training,
    "ours-scoring": ours_scoring,
    "pipeline-scoring": pipeline_scoring,
}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    for line in sys.stdin:
        wanted = json.loads(line)
        method, machine = METHODS[wanted.pop("method")], MACHINES[wanted.pop("device")]
        for name in ("base", "model"):
            if name in wanted:
                wanted[name] = Path(wanted[name])
        try:
            found = method(machine, **wanted)
        except torch.OutOfMemoryError:
            found = dict.fromkeys(("rate", "tokens", "step", "seconds", "memory"), 0.0)
        machine.meter().release()
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
