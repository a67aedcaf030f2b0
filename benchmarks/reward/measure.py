"""Measurements of one method in a process of its own, so that peak memory is this method's alone.

Usage: python -m benchmarks.reward.measure. Reads lines of JSON, what to measure, and answers each with one: units
(pairs or responses) a second, tokens computed a second where known, and peak memory above the model in MiB. While it
waits for the next line, another method has the machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.reward import Callbacks, Item, Stopped, open_reward_model, train

from .cases import MAX_LENGTH, base_config, encoder_of, pairs_of

WARM_UP_STEPS = 1
LEAST_STEPS = 3
# Trainers that group by length do so within this many batches (transformers' own number).
MEGABATCH = 50


def memory_mib(name: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"this kernel does not tell {name}")


@dataclass
class Clock:
    """Units finished and seconds since the warm-up; tells when the time is over."""

    seconds: float
    units: float = 0.0
    tokens: float = 0.0
    steps: int = 0
    began: float = 0.0
    ended: float = 0.0
    before: float = field(default=0.0)

    def start(self) -> None:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what was freed is given back, and not counted as there before
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        self.before = memory_mib("VmRSS")
        self.began = time.perf_counter()

    def step(self, units: float, tokens: float = 0.0) -> None:
        self.steps += 1
        if self.steps <= WARM_UP_STEPS:
            self.began = time.perf_counter()
            return
        self.units, self.tokens = self.units + units, self.tokens + tokens
        self.ended = time.perf_counter()

    @property
    def is_over(self) -> bool:
        enough = self.steps >= WARM_UP_STEPS + LEAST_STEPS
        return enough and time.perf_counter() - self.began > self.seconds

    def result(self) -> dict[str, float]:
        spent = self.ended - self.began
        return {
            "rate": self.units / spent,
            "tokens": self.tokens / spent,
            "step": self.units / max(1, self.steps - WARM_UP_STEPS),
            "memory": memory_mib("VmHWM") - self.before,
        }


def ours_training(
    case: str, base: Path, seed: int, seconds: float, budget: int, accumulate: int
) -> dict[str, float]:
    """The library's own ``train``, stopped when the time is over."""
    clock = Clock(seconds)

    class Watch(Callbacks):
        def metric(self, step: int, values: dict[str, float]) -> None:
            if "pairs" in values:
                clock.step(values["pairs"], values["tokens"])

        def should_stop(self) -> bool:
            if not clock.before:
                clock.start()
            return clock.is_over

    pairs = pairs_of(case, seed)
    config = base_config(
        base,
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
    case: str, base: Path, seed: int, seconds: float, batch: int, step: int, best: bool
) -> dict[str, float]:
    """TRL's RewardTrainer on the same token ids with about ``step`` pairs in a step, as it comes or at its best:
    grouped by length, no checkpointing.

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
    clock = Clock(seconds)
    computed = []

    class Counting(DataCollatorForPreference):
        def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
            made = super().torch_call(examples)
            computed.append(made["input_ids"].numel())
            return made

    class Watch(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.start()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            # The loader is one batch ahead, so the tokens are those of the batches of a step on average.
            pairs = args.per_device_train_batch_size * args.gradient_accumulation_steps
            clock.step(pairs, sum(computed) / len(computed) * args.gradient_accumulation_steps)
            control.should_training_stop = clock.is_over

    options: dict[str, Any] = (
        {"train_sampling_strategy": "sequential", "gradient_checkpointing": False} if best else {}
    )
    with tempfile.TemporaryDirectory() as folder:
        config = RewardConfig(
            output_dir=folder,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=max(1, round(step / batch)),
            max_steps=1_000_000,
            learning_rate=1e-4,
            bf16=False,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            max_length=None,
            logging_steps=1_000_000,
            seed=seed,
            **options,
        )
        RewardTrainer(
            model=AutoModelForSequenceClassification.from_pretrained(str(base), num_labels=1),
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=encoder.tokenizer,
            data_collator=Counting(pad_token_id=encoder.tokenizer.pad_token_id),
            callbacks=[Watch()],
        ).train()
    return clock.result()


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


def ours_scoring(case: str, model: Path, seed: int, seconds: float) -> dict[str, float]:
    """``score`` of the opened model, on as many items as fit the time."""
    scorer, items = open_reward_model(model), items_of(case, seed)
    scorer.score(items[:20])
    clock = Clock(seconds)
    clock.start()
    clock.step(0)
    size, at = 64, 0
    while not clock.is_over and at < len(items):
        part = items[at : at + size]
        scorer.score(part)
        clock.step(len(part))
        at, size = at + size, size * 2
    return clock.result()


def pipeline_scoring(case: str, model: Path, seed: int, seconds: float, batch: int) -> dict[str, float]:
    """transformers' text-classification pipeline on the same rendered texts."""
    from transformers import pipeline

    encoder = encoder_of(model)
    texts = ["".join(encoder.render(item.messages, item.response)) for item in items_of(case, seed)]
    classify = pipeline("text-classification", model=str(model), tokenizer=encoder.tokenizer, device="cpu")
    options: dict[str, Any] = {"function_to_apply": "none", "truncation": True, "max_length": MAX_LENGTH}
    classify(texts[:4], batch_size=batch, **options)
    clock = Clock(seconds)
    clock.start()
    clock.step(0)
    size, at = 64, 0
    while not clock.is_over and at < len(texts):
        part = texts[at : at + size]
        classify(part, batch_size=batch, **options)
        clock.step(len(part))
        at += size
    return clock.result()


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
        method = METHODS[wanted.pop("method")]
        for name in ("base", "model"):
            if name in wanted:
                wanted[name] = Path(wanted[name])
        print(json.dumps(method(**wanted)), file=answers, flush=True)


if __name__ == "__main__":
    main()
