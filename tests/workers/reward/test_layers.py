"""The layers' own arithmetic: values and gradients of the fused parts, and who may go without them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workers.reward.transformer import layers
from workers.reward.transformer.layers import gated, rms_norm

ACTIVATIONS = {
    "SiLU": F.silu,
    "GELUTanh": lambda x: F.gelu(x, approximate="tanh"),
    "GELUActivation": F.gelu,
}


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def test_rms_norm_by_hand():
    # mean(x²) = (9 + 16) / 2 = 12.5
    found = rms_norm(torch.tensor([[3.0, 4.0]]), torch.tensor([1.0, 2.0]), 0.0)
    torch.testing.assert_close(found, torch.tensor([[3.0, 8.0]]) / 12.5**0.5)


def test_rms_norm_has_the_gradient_of_its_value():
    assert torch.autograd.gradcheck(lambda x, w: rms_norm(x, w, 1e-6), (drawn(1, 3, 2, 5), drawn(5, seed=1)))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_the_gated_half_equals_its_formula_and_gradients(monkeypatch, name, rows):
    monkeypatch.setattr(layers, "BLOCK", 64 * 12)  # several blocks of 64 rows
    parts = [drawn(1, rows, 4), drawn(12, 4, seed=1), drawn(12, 4, seed=2), drawn(4, 12, seed=3)]
    x, gate, up, down = parts
    act = ACTIVATIONS[name]
    wanted = F.linear(act(F.linear(x, gate)) * F.linear(x, up), down)
    found = gated(x, gate, up, down, layers._ACTIVATIONS[name])
    torch.testing.assert_close(found, wanted)
    weight = drawn(*wanted.shape, seed=4).detach()
    for ours, theirs in zip(
        torch.autograd.grad((found * weight).sum(), parts),
        torch.autograd.grad((wanted * weight).sum(), parts),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
    with torch.no_grad():
        torch.testing.assert_close(gated(x, gate, up, down, layers._ACTIVATIONS[name]), wanted)


def test_frozen_weights_get_no_gradient_and_the_input_still_does():
    x, gate, up, down = drawn(3, 4), drawn(6, 4), drawn(6, 4), drawn(4, 6)
    for part in (gate, up, down):
        part.requires_grad_(False)
    gated(x, gate, up, down, layers._ACTIVATIONS["SiLU"]).sum().backward()
    assert x.grad is not None
    assert gate.grad is up.grad is down.grad is None


class Gate(nn.Module):
    """A gated half that counts the calls of its own forward pass."""

    def __init__(self, *, bias: bool = False, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(4, 6, bias=bias), nn.Linear(4, 6, bias=bias)
        self.down_proj = nn.Linear(6, 4, bias=bias)
        self.act_fn = activation or nn.SiLU()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


@pytest.mark.parametrize(
    ("half", "own"),
    [(Gate(), 0), (Gate(bias=True), 1), (Gate(activation=nn.Tanh()), 1), (Gate().to(torch.bfloat16), 1)],
    ids=["plain", "biases", "another activation", "bfloat16"],
)
def test_what_is_not_plain_runs_by_its_own_forward(half, own):
    x = torch.randn(1, 3, 4).to(half.up_proj.weight.dtype)
    torch.testing.assert_close(layers._feed(half, x), Gate.forward(half, x))
    assert half.calls == own + 1
