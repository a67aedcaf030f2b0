"""Two real processes (gloo, started by torchrun) against one: equal loss, gradients, weights; they end together."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from workers.reward import ConfigError, train
from workers.reward.transformer.attention import tree_mask, who_sees_whom
from workers.reward.transformer.checkpoint import checkpoints, read_progress
from workers.reward.transformer.distributed import ALONE, World, deal
from workers.reward.transformer.sequence import part_of
from workers.reward.transformer.trees import pack

from .builders import ROOT
from .test_trees import rows_of
from .transformers_small import ENCODER, TINY, tiny_model
from .two_processes import PACKED, RATED, runs, train_recorded

NAMES = ("packed", "padded", "shared")


def launch(root: Path, script: str, *arguments: str, processes: int = 2) -> tuple[int, list[str]]:
    """Exit code of torchrun and what each process wrote to its standard error."""
    found = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
            "--redirects=3", f"--log-dir={root / 'logs'}", script, *arguments,
        ],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}, timeout=240, check=False,
    )  # fmt: skip
    logs = sorted((root / "logs").rglob("stderr.log"))
    return found.returncode, [path.read_text() for path in logs]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A folder with an encoder that drops nothing, for both sides."""
    root = tmp_path_factory.mktemp("two")
    model, tokenizer = tiny_model(dataclasses.replace(ENCODER, tiny_layers=2))
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
    model.save_pretrained(root / "encoder")
    tokenizer.save_pretrained(root / "encoder")
    return root


@pytest.fixture(scope="module")
def two(encoder):
    """What two processes left, the exit code and their logs."""
    code, logs = launch(encoder, "tests/workers/reward/two_processes.py", str(encoder))
    return encoder, code, logs


@pytest.fixture(scope="module")
def one(encoder, tmp_path_factory):
    """The same runs in this process."""
    root = tmp_path_factory.mktemp("one")
    for name, (pairs, config) in runs(encoder).items():
        train_recorded(pairs, dataclasses.replace(config, sequence_parallel=1), root / name)
    return root


def figures(root: Path, name: str) -> list[tuple[int, dict[str, float]]]:
    return json.loads((root / f"{name}.json").read_text())


# Turning every key by the same bias changes no attention without rotary positions, and little with them: what such
# biases have of a gradient is rounding, and AdamW's steps are as long for that.
ROUNDING = ("k_proj.bias", "key.bias")


def furthest(ours: Path, theirs: Path) -> float:
    """Greatest difference of two safetensors files as part of each tensor's greatest entry; one that is next to
    nothing beside the others counts as a thousandth of them."""
    a, b = load_file(ours), load_file(theirs)
    assert a.keys() == b.keys()
    least = 1e-3 * max(float(value.abs().max()) for value in b.values())
    sizes = {name: max(float(value.abs().max()), least) for name, value in b.items()}
    return max(
        float((a[name] - b[name]).abs().max()) / sizes[name] for name in a if not name.endswith(ROUNDING)
    )


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_report_the_loss_of_one(one, two, name):
    ours, theirs = figures(two[0], name), figures(one, name)
    assert [step for step, _ in ours] == [step for step, _ in theirs]
    same = (
        "loss",
        "loss_ranking",
        "grad_norm",
        "accuracy",
        "margin",
        "validation_loss",
        "pairs",
        "score_max",
    )
    compared = 0
    for (_, a), (_, b) in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        for key in set(same) & a.keys():
            assert a[key] == pytest.approx(b[key], rel=1e-5, abs=1e-6), key
            compared += 1
    assert compared > 10


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_have_the_gradients_of_one(one, two, name):
    assert furthest(two[0] / f"{name}.gradients", one / f"{name}.gradients") < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_end_with_the_weights_of_one(one, two, name):
    model = Path(name) / "model.safetensors"
    assert furthest(two[0] / model, one / model) < 1e-5
    others = {"packed": "aspects", "shared": "aspects", "padded": "heads"}[name]
    beside = Path(name) / others / "model.safetensors"
    assert furthest(two[0] / beside, one / beside) < 1e-5


def test_the_first_process_alone_writes_and_nothing_is_left(two):
    root = two[0]
    for name in NAMES:
        assert json.loads((root / name / "chosen_model.json").read_text())["kind"] == "transformer"
        assert not (root / f"{name}.work").exists()


def test_a_stop_on_one_process_stops_both_with_a_checkpoint(two):
    said = [(two[0] / f"stopped-{rank}.txt").read_text() for rank in (0, 1)]
    assert said[0] == said[1] == "Stopped: stopped at step 2 of 3"
    assert read_progress(checkpoints(two[0] / "stopped.work")[0]).step == 2


def test_one_process_goes_on_from_the_checkpoint_of_two(one, two):
    train("transformer", RATED, PACKED, two[0] / "stopped")
    model = "model.safetensors"
    assert furthest(two[0] / "stopped" / model, one / "packed" / model) < 1e-5
    card, whole = (
        json.loads((r / "chosen_model.json").read_text()) for r in (two[0] / "stopped", one / "packed")
    )
    assert card["steps"] == whole["steps"] == 3
    assert card["metrics"]["validation_log_loss"] == pytest.approx(
        whole["metrics"]["validation_log_loss"], rel=1e-5
    )


def test_numbers_that_are_not_finite_on_one_process_end_both_with_the_same_word(two):
    said = [(two[0] / f"poisoned-{rank}.txt").read_text() for rank in (0, 1)]
    assert said[0] == said[1]
    assert "not finite at step 1" in said[0]


def test_an_exception_on_one_process_ends_both_with_its_words(two):
    _root, code, logs = two
    assert code != 0
    assert len(logs) == 2
    assert "the run ends here, too: process 1 of 2: ValueError: the disk of this machine is full" in logs[0]
    assert "ValueError: the disk of this machine is full" in logs[1]


# --- without other processes ------------------------------------------------------------------------------


@pytest.mark.parametrize("shares", [1, 2, 3, 5])
def test_every_pair_is_dealt_once_and_all_take_part_in_every_pass(shares):
    rng = np.random.default_rng(shares)
    numbers = iter(range(200))
    batches = [tuple(next(numbers) for _ in range(int(rng.integers(1, 9)))) for _ in range(7)]
    rounds = deal(batches, shares, prompt=lambda i: i // 3, cost=lambda i: 1 + i % 4)
    assert all(len(parts) == shares for parts in rounds)
    assert len(rounds) == 7 // shares + (7 % shares if shares > 1 else 0)
    assert [i for parts in rounds for part in parts for i in part] == [i for batch in batches for i in batch]


def test_a_batch_is_cut_between_prompts_and_about_evenly():
    assert deal([(0, 1, 2, 3)], 2, prompt=lambda i: i // 2) == [[[0, 1], [2, 3]]]
    assert deal([(0, 1, 2, 3)], 2, prompt=lambda i: i == 0) == [[[0], [1, 2, 3]]]
    assert deal([(0, 1, 2, 3)], 2, prompt=lambda i: 0, cost=lambda i: 9 if i == 3 else 3) == [
        [[0, 1, 2], [3]]
    ]
    assert deal([(7,)], 3) == [[[], [7], []]]


def test_scoring_gives_every_process_as_many_batches():
    parts = [World(rank=r, size=3).even([10, 11, 12, 13]) for r in range(3)]
    assert parts == [[10, 13], [11, 13], [12, 13]]
    assert ALONE.even([10, 11]) == [10, 11]
    assert World(rank=3, size=4, sequence=2).even([1, 2, 3]) == [2, 3]


def test_a_share_draws_the_same_numbers_again_and_others_draw_others():
    def drawn(rank, step):
        World(rank=rank, size=4, sequence=2).seed(7, step)
        return torch.rand(3).tolist()

    assert drawn(0, 5) == drawn(0, 5) == drawn(1, 5)  # who shares a sequence drops the same states
    assert len({tuple(drawn(rank, step)) for rank in (0, 2) for step in (5, 6)}) == 4
    before = torch.get_rng_state()
    ALONE.seed(7, 5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_parts_of_a_pack_hold_every_token_once_and_see_what_the_pack_sees(count):
    packed = pack(rows_of([(5, [3, 7, 2]), (1, [4]), (9, [1, 6])], seed=count))
    size = packed.input_ids.shape[1]
    parts = [part_of(packed, number, count) for number in range(count)]
    assert len({part.input_ids.shape for part in parts}) == 1
    order = parts[0].order
    assert torch.equal(torch.cat([part.places for part in parts]), order)
    assert torch.equal(order.sort().values, torch.arange(len(order)))
    assert sorted(torch.cat([part.held for part in parts]).tolist()) == list(range(len(packed.last)))
    whole = tree_mask(packed.trees, torch.device("cpu"))
    for part in parts:
        real = part.places < size
        assert torch.equal(part.input_ids[0, real], packed.input_ids[0, part.places[real]])
        assert torch.equal(part.position_ids[0, real], packed.position_ids[0, part.places[real]])
        assert torch.equal(part.places[part.last], packed.last[part.held])
        sees = who_sees_whom(part.trees, order.device)(None, None, part.places[:, None], order[None, :])
        assert sees.any(dim=1).all()  # else a softmax over nothing
        assert torch.equal(sees[real][:, order.argsort()][:, :size], whole[part.places[real]])


def test_settings_that_no_launcher_fits_are_refused(tmp_path, monkeypatch):
    config = dataclasses.replace(TINY, sequence_parallel=2)
    with pytest.raises(ConfigError, match="torchrun --nproc-per-node 2"):
        train("transformer", RATED, config, tmp_path / "m")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="3 processes cannot be grouped"):
        train("transformer", RATED, config, tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="two CUDA devices are needed")
def test_two_gpus_report_the_loss_of_one_cpu(one, encoder, tmp_path):
    (tmp_path / "encoder").symlink_to(encoder / "encoder")
    launch(tmp_path, "tests/workers/reward/two_processes.py", str(tmp_path), "cuda")
    for name in NAMES:
        ours, theirs = figures(tmp_path, name), figures(one, name)
        assert ours[0][1]["loss"] == pytest.approx(theirs[0][1]["loss"], rel=1e-3)
