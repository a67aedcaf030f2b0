"""Measurements of one method in a process of its own, so that peak memory is this method's alone.

Usage: python -m benchmarks.reward.measure. Reads lines of JSON, what to measure, and answers each with one: units
(pairs or responses) a second, tokens computed a second, and peak memory in MiB (on a CPU above the model, on a GPU with
it). Where the memory does not do, the rate is 0. While it waits for the next line, another method has the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from workers.reward import Callbacks, Item, Stopped, open_reward_model, train
from workers.reward.transformer.packed import layout_of
from workers.reward.transformer.plan import plan_rows

from .cases import MAX_LENGTH, base_config, encoder_of, pairs_of
from .machines import MACHINES, HostMeter, Machine

# Trainers that group by length do so within this many batches (transformers' own number).
MEGABATCH = 50


@dataclass
class Clock:
    """Units finished and seconds since ``warm_up`` steps were done; tells when the time is over and ``least`` steps are
    done, too."""

    seconds: float
    meter: HostMeter
    warm_up: int = 1
    least: int = 1
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
        self.steps += 1
        if self.steps <= self.warm_up:
            self.began = time.perf_counter()
            return
        self.units, self.tokens = self.units + units, self.tokens + tokens
        self.ended = time.perf_counter()

    @property
    def is_over(self) -> bool:
        enough = self.steps >= self.warm_up + self.least
        return enough and time.perf_counter() - self.began > self.seconds

    @property
    def spent(self) -> float:
        return self.ended - self.began

    def result(self) -> dict[str, float]:
        return {
            "rate": self.units / self.spent,
            "tokens": self.tokens / self.spent,
            "step": self.units / max(1, self.steps - self.warm_up),
            "memory": self.meter.peak(),
        }


def ours_training(
    machine: Machine,
    case: str,
    base: Path,
    seed: int,
    seconds: float,
    least: int,
    budget: int,
    accumulate: int,
) -> dict[str, float]:
    """The library's own ``train``, stopped when the time is over."""
    clock = Clock(seconds, machine.meter(), machine.warm_up, least)

    class Watch(Callbacks):
        def metric(self, step: int, values: dict[str, float]) -> None:
            if "pairs" in values:
                clock.step(values["pairs"], values["tokens"])

        def should_stop(self) -> bool:
            if not clock.began:
                clock.start()
            return clock.is_over

    pairs = pairs_of(case, seed)
    config = base_config(
        base,
        machine,
        batch_tokens=budget,
        accumulate=accumulate,
        epochs=20,
        evaluate_every=0,
        checkpoint_every=1_000_000,
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Stopped):
        train("transformer", pairs, config, Path(folder) / "m", callbacks=Watch())
    return clock.result()


def trl_training(
    machine: Machine,
    case: str,
    base: Path,
    seed: int,
    seconds: float,
    least: int,
    batch: int,
    step: int,
    best: bool,
) -> dict[str, float]:
    """TRL's RewardTrainer on the same token ids with about ``step`` pairs in a step, as it comes or at its best:
    grouped by length, no checkpointing. ``read`` in the result are tokens a second without padding: what batch sizes
    can be compared by, since a few batches hold longer or shorter pairs than others.

    transformers' sampler starts with its longest batches, of which a few seconds would see no others: at its best
    the very batches of that sampler come in random order.
    """
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, TrainerCallback
    from trl import RewardConfig, RewardTrainer
    from trl.trainer.reward_trainer import DataCollatorForPreference

    encoder = encoder_of(base)
    rows: list[dict[str, Any]] = []
    for pair in pairs_of(case, seed):
        chosen = encoder.encode(pair.messages, pair.chosen).ids
        rejected = encoder.encode(pair.messages, pair.rejected).ids
        rows.append(
            {"chosen_ids": chosen, "rejected_ids": rejected, "length": max(len(chosen), len(rejected))}
        )
    if best:
        rows = in_batches_by_length(rows, batch, seed)
    clock = Clock(seconds, machine.meter(), machine.warm_up, least)
    computed: list[int] = []
    read: list[int] = []

    class Counting(DataCollatorForPreference):
        def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
            made = super().torch_call(examples)
            computed.append(made["input_ids"].numel())
            read.append(int(made["attention_mask"].sum()))
            return made

    class Watch(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.start()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            batches = args.gradient_accumulation_steps
            done = clock.steps * batches  # the loader is a batch ahead
            clock.step(args.per_device_train_batch_size * batches, sum(computed[done : done + batches]))
            control.should_training_stop = clock.is_over

    options: dict[str, Any] = {**machine.trl}
    if best:
        options |= {"train_sampling_strategy": "sequential", "gradient_checkpointing": False}
        options |= machine.trl_best
    with tempfile.TemporaryDirectory() as folder:
        config = RewardConfig(
            output_dir=folder,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=max(1, round(step / batch)),
            max_steps=1_000_000,
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
    first, last = (count * config.gradient_accumulation_steps for count in (machine.warm_up, clock.steps))
    return {**clock.result(), "read": sum(read[first:last]) / clock.spent}


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
    scorer.score(items[: machine.warm_up_ours])
    clock = Clock(seconds, machine.meter())
    clock.start()
    clock.step(0)
    size, at = 64, 0
    parts: list[list[Item]] = []
    while not clock.is_over and at < len(items):
        parts.append(items[at : at + size])
        scorer.score(parts[-1])
        clock.step(len(parts[-1]))
        at, size = at + size, size * 2
    found = clock.result()
    return found | {"tokens": sum(planned_tokens(scorer, part) for part in parts) / clock.spent}


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
    clock = Clock(seconds, machine.meter())
    clock.start()
    clock.step(0)
    size, at = 64, 0
    while not clock.is_over and at < len(texts):
        part = texts[at : at + size]
        classify(part, batch_size=batch, **options)
        clock.step(len(part))
        at += size
    found = clock.result()
    read = encoder.tokenizer(texts[:at], truncation=True, max_length=MAX_LENGTH)["input_ids"]
    return found | {"tokens": padded_tokens([len(ids) for ids in read], batch) / clock.spent}


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
            found = dict.fromkeys(("rate", "tokens", "step", "memory"), 0.0)
        machine.meter().release()
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
