"""Scores of token rows without gradients: planned like training, in the order asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ..errors import NotFiniteError, Stopped
from ..types import Callbacks, FloatArray
from .batches import lay_out
from .distributed import ALONE, World
from .packed import layout_of
from .plan import plan_rows
from .sequence import reader_of
from .template import Encoded


def score_rows(
    model: nn.Module,
    rows: Sequence[Encoded],
    pad_id: int,
    budget: int,
    *,
    callbacks: Callbacks | None = None,
    world: World = ALONE,
) -> FloatArray:
    """Raw scores (N,) float32. See ``rate_rows``."""
    return rate_rows(model, (), rows, pad_id, budget, callbacks=callbacks, world=world)[:, 0]


def rate_rows(
    model: nn.Module,
    readers: Sequence[nn.Linear],
    rows: Sequence[Encoded],
    pad_id: int,
    budget: int,
    *,
    callbacks: Callbacks | None = None,
    world: World = ALONE,
) -> FloatArray:
    """Raw score of each row, and what each of ``readers`` reads from its pooled state: (N, 1 + their outputs)
    float32. Equal rows are computed once, by one of the ``world``'s processes; only scalars are kept.

    Raises ``Stopped`` between batches and ``NotFiniteError`` when a score is NaN or infinite.
    """
    told, device, layout = callbacks or Callbacks(), next(model.parameters()).device, layout_of(model)
    width = 1 + sum(reader.out_features for reader in readers)
    distinct = list(dict.fromkeys(rows))
    found: dict[int, list[float]] = {}
    # What a sharded model makes under inference mode could not be trained with afterwards.
    quietly = torch.inference_mode if world.size == 1 else torch.no_grad
    was_training = model.training
    model.eval()
    try:
        for batch in world.even(plan_rows(distinct, budget, layout).batches):
            if told.should_stop():
                raise Stopped(f"stopped after {len(found)} of {len(distinct)} rows")
            part = lay_out([distinct[i] for i in batch], layout, pad_id).to(device)
            with quietly():
                scores, states = reader_of(world)(model, part)
                columns = [scores[:, None], *(reader(states) for reader in readers)]
            found.update(zip(batch, torch.cat(columns, dim=1).cpu().tolist(), strict=True))
            told.progress(len(found), len(distinct), "score")
    finally:
        model.train(was_training)
    values = {distinct[i]: value for share in world.gather(found) for i, value in share.items()}
    out = np.array([values[row] for row in rows], dtype=np.float32).reshape(len(rows), width)
    if not np.isfinite(out).all():
        raise NotFiniteError("the model gives scores that are not finite")
    return out
