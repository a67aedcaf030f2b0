"""Scores of token rows without gradients: planned like training, in the order asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ..errors import NotFiniteError, Stopped
from ..types import Callbacks, FloatArray
from .batches import lay_out
from .packed import layout_of, read_rows
from .plan import plan_rows
from .template import Encoded


def score_rows(
    model: nn.Module,
    rows: Sequence[Encoded],
    pad_id: int,
    budget: int,
    *,
    callbacks: Callbacks | None = None,
) -> FloatArray:
    """Raw scores (N,) float32. See ``rate_rows``."""
    return rate_rows(model, None, rows, pad_id, budget, callbacks=callbacks)[:, 0]


def rate_rows(
    model: nn.Module,
    aspects: nn.Linear | None,
    rows: Sequence[Encoded],
    pad_id: int,
    budget: int,
    *,
    callbacks: Callbacks | None = None,
) -> FloatArray:
    """Raw score and predicted ratings of each row (N, 1 + A) float32. Equal rows are computed once; only scalars
    are kept.

    Raises ``Stopped`` between batches and ``NotFiniteError`` when a score is NaN or infinite.
    """
    told, device, layout = callbacks or Callbacks(), next(model.parameters()).device, layout_of(model)
    width = 1 if aspects is None else 1 + aspects.out_features
    distinct = list(dict.fromkeys(rows))
    found: dict[Encoded, list[float]] = {}
    was_training = model.training
    model.eval()
    try:
        for batch in plan_rows(distinct, budget, layout).batches:
            if told.should_stop():
                raise Stopped(f"stopped after {len(found)} of {len(distinct)} rows")
            part = [distinct[i] for i in batch]
            with torch.inference_mode():
                scores, states = read_rows(model, lay_out(part, layout, pad_id).to(device))
                columns = [scores[:, None]] if aspects is None else [scores[:, None], aspects(states)]
            found.update(zip(part, torch.cat(columns, dim=1).cpu().tolist(), strict=True))
            told.progress(len(found), len(distinct), "score")
    finally:
        model.train(was_training)
    out = np.array([found[row] for row in rows], dtype=np.float32).reshape(len(rows), width)
    if not np.isfinite(out).all():
        raise NotFiniteError("the model gives scores that are not finite")
    return out
