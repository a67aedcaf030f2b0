"""A process that is killed for good, at random steps and while it writes a checkpoint, and goes on bit by bit."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import random
import signal

import pytest
import torch
from safetensors.torch import load_file

from workers.reward import Callbacks, train
from workers.reward.transformer import checkpoint

from .builders import planted_pairs
from .transformers_small import TINY

# Everything at once: packed trees, dropout, ties with a learned threshold, aspects, K heads, accumulated batches.
CONFIG = dataclasses.replace(
    TINY, tiny_layers=2, batch_tokens=192, accumulate=2, epochs=3, ranking="rao_kupper", aspects=("clear",), heads=3,
    focal=2.0, label_smoothing=0.05, barrier=0.01, checkpoint_every=2, evaluate_every=3,
)  # fmt: skip
PAIRS = [
    dataclasses.replace(
        p,
        p_chosen=(1.0, 0.5, 0.7, 1.0)[i % 4],
        ratings_chosen={"clear": i % 5} if i % 3 else {},
        weight=1.0 + i % 2,
    )
    for i, p in enumerate(planted_pairs(40, validation=0.25))
]
LAST = 12


class Dying(Callbacks):
    """Kills its process when it reports a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def metric(self, step: int, values: dict[str, float]) -> None:
        if step >= self.step and "loss" in values:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_at(folder, step: int, *, writing: bool = False) -> None:
    """Train in another process until it is killed: after ``step``, or from then on within a checkpoint's folder."""

    def child() -> None:
        if writing:
            write, told = checkpoint.write_json, Callbacks()

            def dies(path, value):
                write(path, value)
                if value["step"] >= step:
                    os.kill(os.getpid(), signal.SIGKILL)

            checkpoint.write_json = dies
        else:
            told = Dying(step)
        train("transformer", PAIRS, CONFIG, folder, callbacks=told)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL
    assert not folder.exists()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "model"
    result = train("transformer", PAIRS, CONFIG, folder)
    assert result.metrics["steps"] == LAST
    assert json.loads((folder / "chosen_model.json").read_text())["layout"] == "tree"
    return folder, result


def assert_bit_equal(ours, theirs) -> None:
    names = sorted(str(path.relative_to(theirs)) for path in theirs.rglob("*.safetensors"))
    assert names == ["aspects/model.safetensors", "heads/model.safetensors", "model.safetensors"]
    for name in names:
        a, b = load_file(ours / name), load_file(theirs / name)
        assert a.keys() == b.keys()
        for key in a:
            assert torch.equal(a[key], b[key]), f"{name}: {key}"


@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_at_random_steps_and_resumed_ends_bit_equal(uninterrupted, tmp_path, seed):
    first, second = sorted(random.Random(seed).sample(range(1, LAST), 2))
    killed_at(tmp_path / "m", first)
    killed_at(tmp_path / "m", second)
    torch.manual_seed(seed)  # whatever was drawn in between must not matter
    result = train("transformer", PAIRS, CONFIG, tmp_path / "m")
    assert_bit_equal(tmp_path / "m", uninterrupted[0])
    assert result.metrics == uninterrupted[1].metrics
    assert result.best_step == uninterrupted[1].best_step


def test_a_run_killed_while_it_writes_a_checkpoint_goes_on_from_the_one_before(uninterrupted, tmp_path):
    killed_at(tmp_path / "m", random.Random(7).randrange(3, LAST), writing=True)
    work = tmp_path / "m.work"
    assert list(work.glob(".step-*.tmp"))  # half a checkpoint
    assert checkpoint.checkpoints(work)
    train("transformer", PAIRS, CONFIG, tmp_path / "m")
    assert_bit_equal(tmp_path / "m", uninterrupted[0])
