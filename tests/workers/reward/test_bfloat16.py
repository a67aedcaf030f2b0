"""Small steps of bfloat16 weights add up as those of float32 weights do."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from workers.reward import train
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
