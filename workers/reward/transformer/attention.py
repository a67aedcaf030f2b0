"""Attention over packed trees, as one function that transformers' models of every family call.

``tree_attention`` is registered under ``NAME``; a model whose configuration names it gets the pack through its
keyword arguments. Three kernels compute the same thing:

* ``segments`` (CPU): no mask at all. A prompt with its first answer is one causal call. The other answers ask
  the prompt in one call for all of them and themselves in a causal call each; the two parts are merged by their
  log-sum-exp. The backward pass calls the same kernel's backward on each part with the merged output, which is
  exact: the softmax's denominator is in the log-sum-exp.
* ``flex`` (CUDA): FlexAttention with a block mask.
* ``dense``: scaled dot-product attention under a T x T mask; the fallback, and the tests' yardstick.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .trees import Pack, Tree

NAME = "chosen_tree"
Kernel = Literal["segments", "flex", "dense"]
_FLASH = "_scaled_dot_product_flash_attention_for_cpu"


def kernel_for(device: torch.device) -> Kernel:
    """The fastest kernel that this device and this torch have."""
    if device.type == "cuda":
        return "flex"
    return "segments" if device.type == "cpu" and hasattr(torch.ops.aten, _FLASH) else "dense"


Rule = Callable[[Any, Any, Tensor, Tensor], Tensor]


def who_sees_whom(trees: tuple[Tree, ...], device: torch.device) -> Rule:
    """The rule of a pack, in FlexAttention's form ``(batch, head, asking, seen) -> bool``: a token sees what is
    before it in its own prompt and its own answer."""
    branch, start, fork = _marks(trees, device)

    def sees(_batch: Any, _head: Any, asking: Tensor, seen: Tensor) -> Tensor:
        in_prompt = (seen >= start[asking]) & (seen < fork[asking])
        return (seen <= asking) & ((branch[asking] == branch[seen]) | in_prompt)

    return sees


def tree_mask(trees: tuple[Tree, ...], device: torch.device) -> Tensor:
    """The rule as a (T, T) bool mask."""
    place = torch.arange(trees[-1].ends[-1], device=device)
    return who_sees_whom(trees, device)(None, None, place[:, None], place[None, :])


def rows_mask(trees: tuple[Tree, ...], asking: Tensor, device: torch.device) -> Tensor:
    """The rule for the tokens ``asking`` (R,) alone, as an (R, T) bool mask."""
    place = torch.arange(trees[-1].ends[-1], device=device)
    return who_sees_whom(trees, device)(None, None, asking[:, None], place[None, :])


def _marks(trees: tuple[Tree, ...], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each token: the number of its prompt or answer, and where its tree's prompt starts and ends."""
    branch: list[int] = []
    start: list[int] = []
    fork: list[int] = []
    number = 0
    for tree in trees:
        for begin, end in [(tree.start, tree.fork), *tree.answers]:
            branch += [number] * (end - begin)
            number += 1
        size = tree.ends[-1] - tree.start
        start += [tree.start] * size
        fork += [tree.fork] * size
    return tuple(torch.tensor(values, device=device) for values in (branch, start, fork))  # type: ignore[return-value]


def mask_for(kernel: Kernel, packed: Pack) -> Any:
    """What the kernel needs to know of a pack beside its trees, made once for all layers."""
    if kernel == "flex":
        return _block_mask(packed)
    return tree_mask(packed.trees, packed.input_ids.device) if kernel == "dense" else None


def tree_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    tree: Pack,
    kernel: Kernel | Callable[..., Tensor],
    mask: Any = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface: ``query`` (1, Q, T, D), ``key`` and ``value`` (1, K, T, D) with K
    dividing Q, ``mask`` from ``mask_for``; returns (1, T, Q, D).

    Raises ``ValueError`` for what no kernel here does: dropped weights, capped scores, sinks, and a window shorter
    than the longest row.
    """
    if dropout or softcap is not None or s_aux is not None:
        raise ValueError("attention with dropout, a cap or sinks cannot be packed")
    if sliding_window is not None and sliding_window < tree.longest:
        raise ValueError(f"a window of {sliding_window} tokens is shorter than a row of {tree.longest}")
    if kernel == "segments":
        out: Tensor = _Segments.apply(query, key, value, tree.trees, scaling)  # type: ignore[no-untyped-call]
    elif kernel == "flex":
        out = flex(query, key, value, mask, scaling)
    elif callable(kernel):
        out = kernel(query, key, value, scaling)
    else:
        out = F.scaled_dot_product_attention(query, key, value, mask, scale=scaling, enable_gqa=True)
    return out.transpose(1, 2), None


class _Segments(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, trees: tuple[Tree, ...], scale: float | None
    ) -> Tensor:
        flash = getattr(torch.ops.aten, _FLASH)
        # Laid out as (1, T, Q, D), so that the caller's transpose costs nothing.
        out = query.new_empty(*query.shape[:1], query.shape[2], query.shape[1], query.shape[3]).transpose(
            1, 2
        )
        lse = query.new_empty(query.shape[:3], dtype=torch.promote_types(query.dtype, torch.float32))
        for tree in trees:
            at = slice(tree.start, tree.ends[0])
            out[:, :, at], lse[:, :, at] = flash(
                query[:, :, at], key[:, :, at], value[:, :, at], 0.0, True, scale=scale
            )
            for begin, end in tree.answers[1:]:
                at = slice(begin, end)
                out[:, :, at], lse[:, :, at] = flash(
                    query[:, :, at], key[:, :, at], value[:, :, at], 0.0, True, scale=scale
                )
            if len(tree.ends) > 1 and tree.fork > tree.start:
                at, prompt = slice(tree.ends[0], tree.ends[-1]), slice(tree.start, tree.fork)
                seen, seen_lse = flash(
                    query[:, :, at], key[:, :, prompt], value[:, :, prompt], 0.0, False, scale=scale
                )
                merged = torch.logaddexp(lse[:, :, at], seen_lse)
                share = (seen_lse - merged).exp_()[..., None].to(out.dtype)
                out[:, :, at] = torch.lerp(out[:, :, at], seen, share)
                lse[:, :, at] = merged
        ctx.save_for_backward(query, key, value, out, lse)
        ctx.trees, ctx.scale = trees, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        back = getattr(torch.ops.aten, f"{_FLASH}_backward")
        query, key, value, out, lse = ctx.saved_tensors
        to_query, to_key, to_value = (torch.empty_like(x) for x in (query, key, value))

        def of(asking: slice, seen: slice, *, causal: bool) -> Any:
            parts = back(
                grad[:, :, asking], query[:, :, asking], key[:, :, seen], value[:, :, seen],
                out[:, :, asking], lse[:, :, asking], 0.0, causal, scale=ctx.scale,
            )  # fmt: skip
            return zip((to_query, to_key, to_value), parts, (asking, seen, seen), strict=True)

        for tree in ctx.trees:
            # Every token stands in one causal call, which writes; the calls on prompts add to that.
            for begin, end in [(tree.start, tree.ends[0]), *tree.answers[1:]]:
                for total, part, at in of(slice(begin, end), slice(begin, end), causal=True):
                    total[:, :, at] = part
            if len(tree.ends) > 1 and tree.fork > tree.start:
                asking, prompt = slice(tree.ends[0], tree.ends[-1]), slice(tree.start, tree.fork)
                for total, part, at in of(asking, prompt, causal=False):
                    total[:, :, at] += part
        return to_query, to_key, to_value, None, None


def flex(query: Tensor, key: Tensor, value: Tensor, mask: Any, scale: float | None) -> Tensor:
    """FlexAttention (1, Q, T, D) under a block mask, compiled once."""
    grouped = query.shape[1] != key.shape[1]
    out: Tensor = _flex()(query, key, value, block_mask=mask, scale=scale, enable_gqa=grouped)
    return out


@cache
def _flex() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True)


@cache
def _block_mask_maker() -> Any:
    """Compiled, it never writes the whole T x T mask down."""
    from torch.nn.attention.flex_attention import create_block_mask

    return torch.compile(create_block_mask, dynamic=True)


def block_mask(rule: Rule, asking: int, seen: int, device: torch.device) -> Any:
    """A rule over ``asking`` x ``seen`` tokens, as FlexAttention wants it."""
    return _block_mask_maker()(rule, None, None, asking, seen, device=str(device))


def _block_mask(tree: Pack) -> Any:
    device, size = tree.input_ids.device, tree.input_ids.shape[1]
    return block_mask(who_sees_whom(tree.trees, device), size, size, device)
