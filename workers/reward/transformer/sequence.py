"""Sequence parallelism: the tokens of a pack are dealt to several processes, for texts that one cannot hold.

Each process computes its own tokens through all layers; inside the attention the keys and values of all tokens are
gathered (Llama 3, arXiv 2407.21783, section 3.3.2; it is also how torch's context parallelism runs FlexAttention),
by torch's ``DTensor``, which sums their gradients back where they came from. A pack is cut into twice as many chunks
as there are processes and each takes one from either end, since late tokens see more than early ones.

Activations of a process fall to 1/n of the pack. Keys and values of the whole pack are held once for each layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard

from . import attention
from .batches import Rows
from .distributed import World
from .packed import backbone_of, is_pruned, read_rows
from .pooling import head_scores
from .trees import Pack, Tree

Reader = Callable[..., tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Part:
    """One process's tokens of a pack: ``input_ids``, ``position_ids`` (1, T/n); ``last`` where the last tokens of
    the rows ``held`` stand among them; ``places`` (T/n,) their places in the pack, ``order`` (T,) those of all
    processes' tokens as they are gathered; ``trees`` of the pack and its filling, ``longest`` row."""

    input_ids: Tensor
    position_ids: Tensor
    last: Tensor
    held: Tensor
    places: Tensor
    order: Tensor
    trees: tuple[Tree, ...]
    longest: int


def part_of(packed: Pack, number: int, count: int) -> Part:
    """The tokens of process ``number`` of ``count``. The pack is filled up with tokens that nobody reads."""
    size, device = packed.input_ids.shape[1], packed.input_ids.device
    fill = -size % (2 * count)
    trees = (*packed.trees, Tree(size, size, (size + fill,))) if fill else packed.trees
    chunks = torch.arange(size + fill, device=device).view(2 * count, -1)
    order = torch.cat([chunks[[i, -1 - i]].reshape(-1) for i in range(count)])
    places = order.view(count, -1)[number]
    found = places[None, :] == packed.last[:, None]  # (R, T/n)
    held, last = found.nonzero(as_tuple=True)
    ids, positions = (F.pad(x, (0, fill))[:, places] for x in (packed.input_ids, packed.position_ids))
    return Part(ids, positions, last, held, places, order, trees, packed.longest)


def reader_of(world: World) -> Reader:
    """``read_rows``, or its counterpart where several processes share each sequence."""
    if world.sequence == 1:
        return read_rows
    mesh = world.mesh["sequence"]

    def read(model: Any, rows: Rows, *, dropout: float = 0.0) -> tuple[Tensor, Tensor]:
        assert isinstance(rows, Pack), "padded rows are not dealt"
        return head_scores(model, shared_states(model, rows, mesh), dropout=dropout)

    return read


def shared_states(model: Any, packed: Pack, mesh: Any) -> Tensor:
    """float32 states (R, H) of the rows' last tokens, on every process of the mesh."""
    part = part_of(packed, mesh.get_local_rank(), mesh.size())
    states = backbone_of(model)(
        input_ids=part.input_ids,
        position_ids=part.position_ids,
        use_cache=False,
        tree=part,
        kernel=_kernel(part, mesh),
        mask=None,
    ).last_hidden_state
    if not is_pruned(model):
        states = states[:, part.last]
    found = states.new_zeros(len(packed.last), states.shape[-1], dtype=torch.float32)
    found = found.index_copy(0, part.held, states[0].float())
    # Every process goes on to the same loss, and takes the gradient of its own rows alone from it.
    return DTensor.from_local(found, mesh, [Partial()], run_check=False).full_tensor()


def _kernel(part: Part, mesh: Any) -> Callable[[Tensor, Tensor, Tensor, float | None], Tensor]:
    """Attention of this process's queries (1, Q, T/n, D) to everybody's keys and values (1, K, T/n, D)."""
    sees = attention.who_sees_whom(part.trees, part.order.device)
    places, order = part.places, part.order

    def rule(batch: Any, head: Any, asking: Tensor, seen: Tensor) -> Tensor:
        return sees(batch, head, places[asking], order[seen])

    on_gpu = part.order.device.type == "cuda"
    mask = (
        attention.block_mask(rule, len(places), len(order), part.order.device)
        if on_gpu
        else sees(None, None, places[:, None], order[None, :])
    )

    def attend(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        key, value = (_gathered(x, mesh) for x in (key, value))
        if on_gpu:
            return attention.flex(query, key, value, mask, scale)
        return F.scaled_dot_product_attention(query, key, value, mask, scale=scale, enable_gqa=True)

    return attend


def _gathered(x: Tensor, mesh: Any) -> Tensor:
    """(1, K, T/n, D) of every process as (1, K, T, D); its gradient is summed and dealt back."""
    dealt = DTensor.from_local(x, mesh, [Shard(2)], run_check=False)
    return dealt.redistribute(placements=[Replicate()]).to_local(grad_placements=[Partial()])
