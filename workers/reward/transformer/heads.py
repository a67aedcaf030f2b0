"""K linear heads on one forward pass: an ensemble whose mean is the model's own head.

Each head reads the state that the model's own last linear layer reads, starts from numbers of its own and sees its
own bootstrap draw of the groups. Heads are linear, so the mean of their scores is the score of the mean head: that
is what ``own_layer`` holds, and transformers, TRL and vLLM give the ensemble's mean from the plain folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ..errors import CorruptModelError
from ..folder import MODEL_CARD, read_json
from .pooling import own_layer

# In a folder of its own: servers such as vLLM load every safetensors file that lies beside the model's.
HEADS = Path("heads") / "model.safetensors"


def make_heads(model: Any, count: int) -> nn.Linear:
    """``count`` float32 heads in the shape of the model's own: with a bias where that has one."""
    own = own_layer(model)
    device = own.weight.device
    return nn.Linear(own.in_features, count, bias=own.bias is not None, dtype=torch.float32, device=device)


def start_heads(heads: nn.Linear, model: Any, base: Path | None, seed: int) -> None:
    """Where K heads begin, and from here on the model's own layer is their mean.

    A base with as many heads is gone on with, head by head. Any other base that has a head starts all K from it:
    they part by their bootstrap draws. A head that the base lacks is drawn, N(0, 1/(H+1)), each of the K from a seed
    of its own.
    """
    own = own_layer(model)
    card = read_json(base / MODEL_CARD) if base and (base / MODEL_CARD).is_file() else {}
    with torch.no_grad():
        if model.has_new_head:
            _draw(heads, seed)
        elif base and card.get("heads") == heads.out_features:
            load_heads(base, heads)
        else:
            heads.weight.copy_(own.weight.expand_as(heads.weight))
            if heads.bias is not None:
                heads.bias.copy_(own.bias.expand_as(heads.bias))
    own.requires_grad_(False)
    write_mean(heads, model)


def _draw(heads: nn.Linear, seed: int) -> None:
    for row, weight in enumerate(heads.weight):
        number = hashlib.sha256(f"head {seed} {row}".encode()).digest()[:8]
        generator = torch.Generator().manual_seed(int.from_bytes(number) >> 1)
        drawn = torch.randn(weight.shape, generator=generator)
        weight.copy_(drawn * (1.0 / (heads.in_features + 1)) ** 0.5)
    if heads.bias is not None:
        heads.bias.zero_()


@torch.no_grad()
def write_mean(heads: nn.Linear, model: Any) -> None:
    """Make the model's own head the mean of ``heads``."""
    own = own_layer(model)
    own.weight.copy_(heads.weight.mean(dim=0, keepdim=True))
    if heads.bias is not None:
        own.bias.copy_(heads.bias.mean(dim=0, keepdim=True))


def save_heads(folder: Path, heads: nn.Linear) -> None:
    """Write the heads beside a model."""
    path = folder / HEADS
    path.parent.mkdir()
    save_file({name: value.detach().cpu().contiguous() for name, value in heads.state_dict().items()}, path)


def load_heads(folder: Path, heads: nn.Linear) -> None:
    """Read a model folder's heads into ``heads``; raises ``CorruptModelError`` where they do not fit."""
    try:
        heads.load_state_dict(load_file(folder / HEADS))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CorruptModelError(f"the heads cannot be read: {error}") from error
