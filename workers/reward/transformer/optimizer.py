"""AdamW that loses no small step of a bfloat16 weight.

A bfloat16 weight near 0.02 has neighbours 1e-4 away: a step of 1e-5 rounds to none, and fine-tuning at usual rates
moves next to nothing (docs/experiments.md). What rounding takes is kept beside the weight and comes back with the next
step: Kahan summation, as in arXiv 2010.06192. Beside the weights and their gradients that costs 2 bytes a weight more
than plain bfloat16 AdamW, and 6 less than float32 weights.

Weights that are alike are moved by one call for all of them, for a kernel each would be many small ones, up to
``AT_ONCE`` numbers: the float32 copies of a step, six at their most, stay at 1.5 GB (or are a single larger weight's).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from .sharding import local

AT_ONCE = 2**26
KEPT = ("exp_avg", "exp_avg_sq", "rest")


class CompensatedAdamW(torch.optim.AdamW):
    """AdamW (arXiv 1711.05101) in float32 arithmetic on weights, moments and ``rest`` of the weights' own dtype."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step on every weight that has a gradient."""
        for group in self.param_groups:
            alike: dict[tuple[Any, ...], list[Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    state = self.state[weight]
                    if not state:
                        state["step"] = torch.zeros((), dtype=torch.float32)
                        state |= {name: torch.zeros_like(weight) for name in KEPT}
                    state["step"] += 1
                    alike[float(state["step"]), weight.device, weight.dtype].append(weight)
            for (count, *_), weights in alike.items():
                for some in _few(weights):
                    self._move(some, count, group)

    def _move(self, weights: Sequence[Tensor], count: float, group: dict[str, Any]) -> None:
        """Step ``count`` of weights on one device."""
        (first, second), rate = group["betas"], float(group["lr"])
        moments, squares, rests = ([local(self.state[weight][name]) for weight in weights] for name in KEPT)
        rounded = [local(weight) for weight in weights]
        grads = _floats([local(weight.grad) for weight in weights if weight.grad is not None])
        mean, square = _floats(moments), _floats(squares)
        torch._foreach_lerp_(mean, grads, 1.0 - first)
        torch._foreach_mul_(square, second)
        torch._foreach_addcmul_(square, grads, grads, 1.0 - second)
        torch._foreach_copy_(moments, mean)
        torch._foreach_copy_(squares, square)
        torch._foreach_div_(square, 1.0 - second**count)
        torch._foreach_sqrt_(square)
        torch._foreach_add_(square, group["eps"])
        exact = _floats(rounded)
        torch._foreach_add_(exact, _floats(rests))
        torch._foreach_mul_(exact, 1.0 - rate * group["weight_decay"])
        torch._foreach_addcdiv_(exact, mean, square, -rate / (1.0 - first**count))
        torch._foreach_copy_(rounded, exact)
        torch._foreach_sub_(exact, _floats(rounded))
        torch._foreach_copy_(rests, exact)


def _few(weights: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The weights in turn, at most ``AT_ONCE`` numbers at a time or one weight."""
    few: list[Tensor] = []
    for weight in weights:
        if few and sum(local(one).numel() for one in (*few, weight)) > AT_ONCE:
            yield few
            few = []
        few.append(weight)
    if few:
        yield few


def _floats(values: Sequence[Tensor]) -> list[Tensor]:
    """Copies in float32."""
    copies = [torch.empty_like(value, dtype=torch.float32) for value in values]
    torch._foreach_copy_(copies, list(values))
    return copies
