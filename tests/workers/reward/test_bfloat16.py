"""Small steps of bfloat16 weights add up as those of float32 weights do."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from workers.reward import train
from workers.reward.transformer import optimizer as optimizer_module
from workers.reward.transformer.checkpoint import Progress, load_latest, save_checkpoint
from workers.reward.transformer.loop import make_optimizer
from workers.reward.transformer.objective import Objective
from workers.reward.transformer.optimizer import CompensatedAdamW

from .builders import planted_pairs
from .test_transformer import Recorder, assert_equal_weights
from .transformers_small import CALM, TINY, tiny_model

OPTIONS = {"lr": 1e-5, "betas": (0.9, 0.98), "eps": 1e-8, "weight_decay": 0.05}


def trained(dtype: torch.dtype, kind: type[torch.optim.Optimizer], steps: int = 200) -> torch.Tensor:
    """Weights after steps down a bowl, read exactly."""
    weight = nn.Parameter(torch.linspace(-0.05, 0.05, 501).to(dtype))
    optimizer = kind([weight], **OPTIONS)
    aim = torch.linspace(0.06, -0.06, 501)
    for _ in range(steps):
        weight.grad = (weight.detach().float() - aim).to(dtype)
        optimizer.step()
    rest = optimizer.state[weight].get("rest", torch.zeros(()))
    return weight.detach().float() + rest.float()


def test_many_small_steps_arrive_where_float32_arrives():
    start = torch.linspace(-0.05, 0.05, 501)
    exact = trained(torch.float32, torch.optim.AdamW)
    kept = trained(torch.bfloat16, CompensatedAdamW)
    lost = trained(torch.bfloat16, torch.optim.AdamW)
    moved = (exact - start).abs().mean()
    begun = start.to(torch.bfloat16).float()
    assert ((kept - begun) - (exact - start)).abs().mean() < 0.02 * moved
    assert (lost - begun).abs().mean() < 0.5 * moved  # what it is for


def test_float32_weights_step_as_under_plain_adamw():
    torch.testing.assert_close(
        trained(torch.float32, CompensatedAdamW),
        trained(torch.float32, torch.optim.AdamW),
        atol=1e-8,
        rtol=1e-6,
    )


def test_only_bfloat16_weights_need_it():
    for dtype, kind in (("float32", torch.optim.AdamW), ("bfloat16", CompensatedAdamW)):
        config = dataclasses.replace(CALM, dtype=dtype)
        assert type(make_optimizer(tiny_model(config)[0], Objective(config, 32), config)) is kind


def test_a_killed_bfloat16_run_resumed_ends_with_equal_weights(tmp_path):
    pairs, config = (
        planted_pairs(24),
        dataclasses.replace(TINY, dtype="bfloat16", max_steps=5, batch_tokens=256),
    )
    train("transformer", pairs, config, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        train("transformer", pairs, config, tmp_path / "b", callbacks=Recorder(die_at=5))
    assert (tmp_path / "b.work" / "step-000003").is_dir()
    train("transformer", pairs, config, tmp_path / "b")
    assert_equal_weights(tmp_path / "a", tmp_path / "b")


def bowls(dtype: torch.dtype) -> nn.ModuleDict:
    """Weights of several sizes, the last without a gradient at first."""
    drawn = torch.Generator().manual_seed(0)
    sizes = {"a": (31, 7), "b": (5,), "c": (64, 3), "d": (2, 2)}
    return nn.ModuleDict(
        {
            name: nn.ParameterList([torch.randn(size, generator=drawn).mul(0.02).to(dtype)])
            for name, size in sizes.items()
        }
    )


def descend(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, *, begun: int = 0) -> None:
    for step in range(begun, begun + steps):
        for name, weight in model.named_parameters():
            skipped = name.startswith("d") and step < 2
            weight.grad = None if skipped else (weight.detach() - 0.1).sign().mul(0.5 + step)
        optimizer.step()


@pytest.mark.parametrize("at_once", [1, 200, 2**26])
def test_weights_that_move_together_move_as_each_by_itself(monkeypatch, at_once):
    monkeypatch.setattr(optimizer_module, "AT_ONCE", at_once)
    together, alone = bowls(torch.bfloat16), bowls(torch.bfloat16)
    together["b"].float(), alone["b"].float()
    descend(together, one := CompensatedAdamW(together.parameters(), **OPTIONS), 4)
    for name, weights in alone.items():
        part = nn.ModuleDict({name: weights})
        descend(part, other := CompensatedAdamW(part.parameters(), **OPTIONS), 4)
        (expected,), (found,) = weights.parameters(), together[name].parameters()
        assert torch.equal(found, expected)
        for kept, value in other.state[expected].items():
            assert torch.equal(one.state[found][kept], value)


def exact_weights(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    rests = (optimizer.state[weight].get("rest", torch.zeros(())) for weight in model.parameters())
    return [w.detach().float() + rest.float() for w, rest in zip(model.parameters(), rests, strict=True)]


@pytest.mark.parametrize("sharded_first", [True, False])
def test_a_run_goes_on_between_float32_shards_and_bfloat16_weights(tmp_path, sharded_first):
    """Over several GPUs weights are float32 under plain AdamW, in one process bfloat16 with what rounding took."""
    kinds = [(torch.float32, torch.optim.AdamW), (torch.bfloat16, CompensatedAdamW)]
    (first, begun), (second, resumed) = kinds if sharded_first else kinds[::-1]
    before = bowls(first)
    descend(before, optimizer := begun(before.parameters(), **OPTIONS), 3)
    save_checkpoint(tmp_path / "step-000003", before, optimizer, Progress("run", step=3))
    after = bowls(second)
    other = resumed(after.parameters(), **OPTIONS)
    found, skipped = load_latest(tmp_path, "run", after, other)
    assert (found.step, skipped) == (3, [])
    # Two bfloat16 numbers hold 16 bits of a weight.
    for there, here in zip(exact_weights(before, optimizer), exact_weights(after, other), strict=True):
        torch.testing.assert_close(here, there, rtol=2**-16, atol=0.0)
    assert all(("rest" in other.state[w]) is (resumed is CompensatedAdamW) for w in after.parameters())
    descend(after, other, 50, begun=3)
    descend(before, optimizer, 50, begun=3)
    for there, here in zip(exact_weights(before, optimizer), exact_weights(after, other), strict=True):
        torch.testing.assert_close(here, there, rtol=1e-3, atol=5e-6)  # of a way of 5e-4
