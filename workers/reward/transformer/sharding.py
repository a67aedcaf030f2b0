"""A model over many processes by FSDP2: each holds a part of every weight, gradient and moment.

The backbone is sharded layer by layer over all processes. What stands on top (reward head, aspect heads, tie
threshold) is small and stays whole and in float32 on each of them; its gradients are added up by hand. The loss is
divided by the pairs of the whole step, so gradients are summed, not averaged.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from ..errors import ConfigError
from .distributed import World
from .packed import backbone_of


def shard(parts: nn.ModuleDict, world: World) -> nn.ModuleDict | None:
    """Shard the backbone of ``parts["model"]`` in place; its weights are equal on all processes. Gives the first
    process a whole copy in main memory, for ``unshard``.

    On CUDA weights are kept and gradients summed in float32, and computed in the type that the model had; on a CPU
    everything stays in that type, or goes to float32 where there are several (adapters on a bfloat16 base). Raises
    ``ConfigError`` for weights that cannot be cut, such as 4-bit ones.
    """
    model: Any = parts["model"]
    device, backbone = next(model.parameters()).device, backbone_of(model)
    dtype = next(backbone.parameters()).dtype
    if not dtype.is_floating_point or getattr(model, "is_quantized", False):
        raise ConfigError("quantised weights cannot be sharded: train this model in one process")
    parts.cpu()
    copy = deepcopy(parts) if world.is_first else None
    policy = MixedPrecisionPolicy()
    if device.type == "cuda":
        policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    if device.type == "cuda" or len({p.dtype for p in backbone.parameters()}) > 1:
        parts.float()  # still in main memory: the GPU never holds the whole model in float32
    mesh = init_device_mesh(device.type, (world.size,))
    wholes = set(getattr(model, "_no_split_modules", None) or ())
    for part in [m for m in backbone.modules() if type(m).__name__ in wholes]:
        fully_shard(part, mesh=mesh, mp_policy=policy)
    fully_shard(backbone, mesh=mesh, mp_policy=policy)
    for part in backbone.modules():
        if isinstance(part, FSDPModule):
            part.set_force_sum_reduction_for_comms(True)
            part.set_gradient_divide_factor(1.0)
    for rest in (*parts.parameters(), *parts.buffers()):
        if not isinstance(rest, DTensor):
            rest.data = rest.data.to(device)
    return copy


@torch.no_grad()
def unshard(parts: nn.ModuleDict, copy: nn.ModuleDict | None) -> None:
    """Write the sharded weights into the first process's whole copy. Every process must take part."""
    target = copy.state_dict() if copy is not None else {}
    for name, value in parts.state_dict().items():
        entire = whole(value)
        if copy is not None:
            target[name].copy_(entire)


def whole(value: Tensor) -> Tensor:
    """All of a tensor, sharded or not. Every process must ask for it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def local(value: Tensor) -> Tensor:
    """What this process holds of it."""
    return value.to_local() if isinstance(value, DTensor) else value


def like(value: Tensor, target: Tensor) -> Tensor:
    """This process's part of a whole tensor, laid out as ``target`` is. Every process gives the same ``value``."""
    if not isinstance(target, DTensor):
        return value
    there = value.to(target.device, target.dtype)
    return distribute_tensor(there, target.device_mesh, target.placements, src_data_rank=None)


def add_gradients(parameters: Iterable[nn.Parameter], world: World) -> None:
    """Sum the gradients of what is whole on each process; processes of one sequence hold the same ones."""
    found = [p for p in parameters if p.requires_grad and not isinstance(p, DTensor)]
    if world.size == 1 or not found:
        return
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in found]
    flat = torch.cat([grad.reshape(-1) for grad in grads])
    dist.all_reduce(flat)
    flat /= world.sequence
    for parameter, part in zip(found, torch.split(flat, [p.numel() for p in found]), strict=True):
        parameter.grad = part.view_as(parameter)


def clip(parameters: Iterable[nn.Parameter], most: float) -> float:
    """``clip_grad_norm_`` over sharded and whole gradients together; returns the norm before it."""
    found = [p for p in parameters if p.grad is not None]
    kinds = [[p for p in found if isinstance(p, DTensor) is sharded] for sharded in (False, True)]
    if not kinds[1]:
        return float(nn.utils.clip_grad_norm_(found, most))
    grads = [[p.grad for p in kind if p.grad is not None] for kind in kinds if kind]
    norm = torch.stack([whole(nn.utils.get_total_norm(kind)) for kind in grads]).norm()
    for kind in kinds:
        nn.utils.clip_grads_with_norm_(kind, most, norm)
    return float(norm)
