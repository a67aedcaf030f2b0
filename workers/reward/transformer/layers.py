"""A decoder layer's forward pass over a pack, in fewer passes over memory than the model's own.

One form serves today's decoders (Llama, Mistral, Qwen, Gemma, Phi, SmolLM): a norm before each half, or one around
each; rotary positions; a gated feed-forward half. What a layer's parts are is read off the layer, and
``packed.use_trees`` keeps this form only where it gives the model's own scores. On a CPU in float32 norms and
feed-forward run in blocks that stay in its caches, and keep less for the backward pass. In the last layer only the
rows' last tokens ask, so all but its keys and values is computed for those alone.
"""

from __future__ import annotations

import types
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from . import attention
from .trees import Pack

# Numbers of one block of the feed-forward half: 2 MiB of float32.
BLOCK = 2**19
# Up to one token in so many asks by itself in the last layer.
FEW = 4


class _Activation(NamedTuple):
    """A point-wise function and its gradient, written where the caller says."""

    out: Any
    back: Any
    options: dict[str, str]


_ACTIVATIONS = {
    "SiLUActivation": _Activation(torch.ops.aten.silu.out, torch.ops.aten.silu_backward.grad_input, {}),
    "SiLU": _Activation(torch.ops.aten.silu.out, torch.ops.aten.silu_backward.grad_input, {}),
    "GELUTanh": _Activation(
        torch.ops.aten.gelu.out, torch.ops.aten.gelu_backward.grad_input, {"approximate": "tanh"}
    ),
    "GELUActivation": _Activation(
        torch.ops.aten.gelu.out, torch.ops.aten.gelu_backward.grad_input, {"approximate": "none"}
    ),
}


def has_known_form(layer: nn.Module) -> bool:
    """Whether the layer has the parts that ``install`` needs, and drops no states."""
    parts = ("self_attn", "mlp", "input_layernorm", "post_attention_layernorm")
    drops = any(isinstance(part, nn.Dropout) and part.p for part in layer.children())
    return not drops and all(isinstance(getattr(layer, name, None), nn.Module) for name in parts)


def install(layers: nn.ModuleList) -> None:
    """Give every layer of a stack this form; ``remove`` undoes it."""
    for layer in layers:
        layer.forward = types.MethodType(_last if layer is layers[-1] else _inner, layer)


def remove(layers: nn.ModuleList) -> None:
    """Give every layer its own forward pass back."""
    for layer in layers:
        vars(layer).pop("forward", None)


def is_installed(layers: nn.ModuleList) -> bool:
    """Whether the last layer returns the rows' last tokens alone."""
    return bool(layers) and "forward" in vars(layers[-1])


def _inner(self: Any, hidden_states: Tensor, **options: Any) -> Tensor:
    return _layer(self, hidden_states, None, **options)


def _last(self: Any, hidden_states: Tensor, *, tree: Pack, **options: Any) -> Tensor:
    return _layer(self, hidden_states, tree.last, tree=tree, **options)


def _layer(layer: Any, states: Tensor, ends: Tensor | None, **options: Any) -> Tensor:
    """States (1, T, H) after a layer, or (1, R, H) of the tokens ``ends`` (R,) alone."""
    around = hasattr(layer, "pre_feedforward_layernorm")
    attended = _attend(layer.self_attn, _norm(layer.input_layernorm, states), ends, **options)
    residual = states if ends is None else states[:, ends]
    if around:
        residual = residual + _norm(layer.post_attention_layernorm, attended)
        fed = _norm(
            layer.post_feedforward_layernorm,
            _feed(layer.mlp, _norm(layer.pre_feedforward_layernorm, residual)),
        )
    else:
        residual = residual + attended
        fed = _feed(layer.mlp, _norm(layer.post_attention_layernorm, residual))
    return residual + fed


# --- attention --------------------------------------------------------------------------------------------


def _attend(attn: Any, states: Tensor, ends: Tensor | None, *, tree: Pack, **options: Any) -> Tensor:
    """What attention adds to the states, (1, T, H), or (1, R, H) of the tokens ``ends`` alone."""
    if not all(hasattr(attn, name) for name in ("q_proj", "k_proj", "v_proj", "o_proj")):
        attended: Tensor = attn(hidden_states=states, tree=tree, **options)[0]
        return attended if ends is None else attended[:, ends]
    is_shared = callable(options["kernel"])  # the tokens of one pack, dealt to several processes
    # A mask over many would cost more.
    if ends is not None and (is_shared or len(ends) * FEW > states.shape[1]):
        return _attend(attn, states, None, tree=tree, **options)[:, ends]
    asking = states if ends is None else states[:, ends]
    query, key = (
        _heads(proj(x), attn.head_dim, getattr(attn, norm, None))
        for proj, norm, x in ((attn.q_proj, "q_norm", asking), (attn.k_proj, "k_norm", states))
    )
    value = _heads(attn.v_proj(states), attn.head_dim, None)
    if getattr(attn, "use_rope", True):
        cos, sin = (x[:, None] for x in options["position_embeddings"])  # (1, 1, T, D)
        key = _rotate(key, cos, sin)
        query = _rotate(query, *((cos, sin) if ends is None else (cos[:, :, ends], sin[:, :, ends])))
    if ends is None:
        window = getattr(attn, "sliding_window", None)
        kernel, mask = options["kernel"], options["mask"]
        out, _ = attention.tree_attention(
            attn, query, key, value, None, tree=tree, kernel=kernel, mask=mask,
            scaling=attn.scaling, sliding_window=window,
        )  # fmt: skip
    else:
        sees = attention.rows_mask(tree.trees, ends, states.device)
        out = F.scaled_dot_product_attention(query, key, value, sees, scale=attn.scaling, enable_gqa=True)
        out = out.transpose(1, 2)
    added: Tensor = attn.o_proj(out.reshape(*out.shape[:2], -1))
    return added


def _heads(flat: Tensor, width: int, norm: nn.Module | None) -> Tensor:
    """(1, T, N·D) as (1, N, T, D), each head normed where the model does so."""
    heads = flat.view(*flat.shape[:2], -1, width)
    return (heads if norm is None else _norm(norm, heads)).transpose(1, 2)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (arXiv 2104.09864) in the form of halves, of (1, N, T, D)."""
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


# --- norms ------------------------------------------------------------------------------------------------


def _is_plain(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32


def _norm(norm: Any, x: Tensor) -> Tensor:
    """A norm's own forward pass, or the same root mean square norm in fewer passes."""
    if not type(norm).__name__.endswith("RMSNorm") or not _is_plain(x):
        normed: Tensor = norm(x)
        return normed
    if hasattr(norm, "variance_epsilon"):
        return rms_norm(x, norm.weight, norm.variance_epsilon)
    return rms_norm(x, 1.0 + norm.weight, norm.eps)  # Gemma keeps the weight's distance from 1


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """``x / sqrt(mean(x²) + eps) · weight`` over the last dimension (arXiv 1910.07467)."""
    normed: Tensor = _RMSNorm.apply(x, weight, eps)  # type: ignore[no-untyped-call]
    return normed


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        rate = size.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, rate)
        return torch.mul(x, rate).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, rate = ctx.saved_tensors
        unit = x * rate
        both = grad * unit
        to_weight = both.flatten(0, -2).sum(dim=0) if ctx.needs_input_grad[1] else None
        along = torch.matmul(both, weight).div_(x.shape[-1]).unsqueeze(-1)
        return torch.mul(grad, weight).sub_(unit.mul_(along)).mul_(rate), to_weight, None


# --- feed-forward -----------------------------------------------------------------------------------------


def _feed(mlp: Any, x: Tensor) -> Tensor:
    """A feed-forward half's own forward pass, or the same gated one in blocks."""
    parts: list[Any] = [getattr(mlp, name, None) for name in ("gate_proj", "up_proj", "down_proj")]
    activation = _ACTIVATIONS.get(type(getattr(mlp, "act_fn", None)).__name__)
    plain = all(type(part) is nn.Linear and part.bias is None for part in parts)
    if activation is None or not plain or not _is_plain(x):
        fed: Tensor = mlp(x)
        return fed
    gate, up, down = (part.weight for part in parts)
    return gated(x, gate, up, down, activation)


def gated(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, activation: _Activation) -> Tensor:
    """``(act(x Wgᵀ) ⊙ x Wuᵀ) Wdᵀ`` (arXiv 2002.05202) of (..., H), with ``gate`` and ``up`` (I, H), ``down`` (H, I).

    Kept for the backward pass are the two products, not their activation and not the gated product.
    """
    flat = x.reshape(-1, x.shape[-1])
    if torch.is_grad_enabled() and any(part.requires_grad for part in (flat, gate, up, down)):
        fed: Tensor = _Gated.apply(flat, gate, up, down, activation)  # type: ignore[no-untyped-call]
    else:
        fed = _gated(flat, gate, up, down, activation, None)
    return fed.view(x.shape)


def _blocks(rows: int, inner: int) -> list[slice]:
    size = max(64, BLOCK // inner)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _gated(
    x: Tensor,
    gate: Tensor,
    up: Tensor,
    down: Tensor,
    activation: _Activation,
    kept: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """The products go to ``kept``, each (T, I), or nowhere."""
    out, blocks = torch.empty_like(x), _blocks(len(x), len(gate))
    room = x.new_empty(1 if kept else 3, blocks[0].stop if blocks else 0, len(gate))
    for at in blocks:
        size = at.stop - at.start
        hidden = room[0, :size]
        gated, upper = (whole[at] for whole in kept) if kept else (room[1, :size], room[2, :size])
        torch.mm(x[at], gate.t(), out=gated)
        torch.mm(x[at], up.t(), out=upper)
        activation.out(gated, **activation.options, out=hidden)
        torch.mm(hidden.mul_(upper), down.t(), out=out[at])
    return out


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gate: Tensor, up: Tensor, down: Tensor, activation: _Activation
    ) -> Tensor:
        kept = x.new_empty(len(x), len(gate)), x.new_empty(len(x), len(gate))
        out = _gated(x, gate, up, down, activation, kept)
        ctx.save_for_backward(x, gate, up, down, *kept)
        ctx.activation = activation
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, gate, up, down, gates, uppers = ctx.saved_tensors
        out, back, options = ctx.activation
        blocks = _blocks(len(x), len(gate))
        room = x.new_empty(3, blocks[0].stop if blocks else 0, len(gate))
        to_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        to_gate, to_up, to_down = (
            torch.zeros_like(part) if wanted else None
            for part, wanted in zip((gate, up, down), ctx.needs_input_grad[1:4], strict=True)
        )
        for at in blocks:
            arriving, active, other = room[:, : at.stop - at.start]
            gated, upper = gates[at], uppers[at]
            torch.mm(grad[at], down, out=arriving)
            out(gated, **options, out=active)
            torch.mul(arriving, active, out=other)  # the gradient of the upper product
            if to_down is not None:
                to_down.addmm_(grad[at].t(), active.mul_(upper))
            if to_up is not None:
                to_up.addmm_(other.t(), x[at])
            if to_x is not None:
                torch.mm(other, up, out=to_x[at])
            back(arriving.mul_(upper), gated, **options, grad_input=active)
            if to_gate is not None:
                to_gate.addmm_(active.t(), x[at])
            if to_x is not None:
                to_x[at].addmm_(active, gate)
        return to_x, to_gate, to_up, to_down, None
