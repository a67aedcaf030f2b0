"""What each of two gloo processes runs; ``test_distributed`` starts them with torchrun and reads what they leave.

The test calls ``train_recorded`` for the same runs in one process.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.workers.reward.builders import planted_pairs
from tests.workers.reward.transformers_small import CALM, ENCODER
from workers.reward import Callbacks, RewardError, TransformerConfig, train
from workers.reward.transformer import loop
from workers.reward.transformer.sharding import whole

PLAIN = planted_pairs(28, validation=0.25)
RATED = [
    dataclasses.replace(p, p_chosen=0.5 if i % 7 == 0 else 1.0, ratings_chosen={"clear": i % 5})
    for i, p in enumerate(PLAIN)
]
# Three batches a step, so that one of them is cut in two. The rate is low: AdamW's first steps are as long for a
# gradient of rounding errors as for any other, and weights are to be compared.
PACKED = dataclasses.replace(
    CALM, tiny_layers=2, epochs=1, accumulate=3, batch_tokens=192, learning_rate=1e-4, evaluate_every=3,
    ranking="rao_kupper", aspects=("clear",),
)  # fmt: skip
SHARED = dataclasses.replace(PACKED, sequence_parallel=2)
PADDED = dataclasses.replace(
    ENCODER, epochs=1, batch_tokens=384, learning_rate=1e-4, evaluate_every=3, heads=2
)


def runs(root: Path) -> dict[str, tuple[list, TransformerConfig]]:
    """Name, pairs and settings of each run that is compared; ``root`` holds an encoder without dropout."""
    return {
        "packed": (RATED, PACKED),
        "padded": (PLAIN, dataclasses.replace(PADDED, base=str(root / "encoder"))),
        "shared": (RATED, SHARED),
    }


class Recorder(Callbacks):
    """Keeps the figures; on one process it may ask to stop, or fail, after a step."""

    def __init__(self, *, stop_at: int = 0, fail_at: int = 0) -> None:
        self.stop_at, self.fail_at, self.asked = stop_at, fail_at, 0
        self.metrics: list[tuple[int, dict[str, float]]] = []

    def metric(self, step: int, values: dict[str, float]) -> None:
        self.metrics.append((step, values))

    def should_stop(self) -> bool:
        self.asked += 1
        if self.fail_at and self.asked > self.fail_at:
            raise ValueError("the disk of this machine is full")
        return bool(self.stop_at) and self.asked > self.stop_at


def train_recorded(pairs, config, folder: Path, *, write: bool = True) -> None:
    """Train, and keep the first step's gradients and the figures beside the model."""
    clip, seen, told = loop.clip, [], Recorder()

    def recording(parameters, most):
        if not seen:
            seen.extend(whole(p.grad).detach().clone() for p in parameters if p.grad is not None)
        return clip(parameters, most)

    loop.clip = recording
    try:
        train("transformer", pairs, config, folder, callbacks=told)
    finally:
        loop.clip = clip
    if write:
        save_file({str(i): grad for i, grad in enumerate(seen)}, folder.with_suffix(".gradients"))
        folder.with_suffix(".json").write_text(json.dumps(told.metrics))


def main(root: Path, device: str) -> None:
    first = os.environ["RANK"] == "0"
    torch.set_num_threads(1)
    for name, (pairs, config) in runs(root).items():
        train_recorded(pairs, dataclasses.replace(config, device=device), root / name, write=first)

    def refused(name, pairs, config, told) -> None:
        try:
            train("transformer", pairs, config, root / name, callbacks=told)
        except RewardError as error:
            (root / f"{name}-{os.environ['RANK']}.txt").write_text(f"{type(error).__name__}: {error}")

    refused("stopped", RATED, PACKED, Recorder(stop_at=0 if first else 2))
    poisoned = [dataclasses.replace(p, weight=1e38 if i == 5 else 1.0) for i, p in enumerate(PLAIN)]
    config = dataclasses.replace(PACKED, aspects=(), max_steps=2, accumulate=8)
    refused("poisoned", poisoned, config, Recorder())
    # Last, since nothing more can be said in a group that one has left.
    train("transformer", RATED, PACKED, root / "failed", callbacks=Recorder(fail_at=0 if first else 2))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(sys.argv[2:] or ["cpu"]))
