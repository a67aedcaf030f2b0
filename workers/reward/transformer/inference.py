"""Scores of token rows without gradients: sorted by length, under a token budget, in the order asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ..errors import NotFiniteError, Stopped
from ..types import Callbacks, FloatArray
from .batches import by_budget, pad
from .pooling import reward_scores


def score_rows(
    model: nn.Module,
    rows: Sequence[tuple[int, ...]],
    pad_id: int,
    budget: int,
    *,
    callbacks: Callbacks | None = None,
) -> FloatArray:
    """Raw scores (N,) float32. Equal rows are computed once; only scalars are kept.

    Raises ``Stopped`` between batches and ``NotFiniteError`` when a score is NaN or infinite.
    """
    told, device = callbacks or Callbacks(), next(model.parameters()).device
    distinct = sorted(set(rows), key=lambda row: (len(row), row))
    found: dict[tuple[int, ...], float] = {}
    was_training = model.training
    model.eval()
    try:
        for batch in by_budget(range(len(distinct)), [len(r) for r in distinct], budget):
            if told.should_stop():
                raise Stopped(f"stopped after {len(found)} of {len(distinct)} rows")
            part = [distinct[i] for i in batch]
            ids, mask = pad(part, pad_id)
            with torch.inference_mode():
                values = reward_scores(model, ids.to(device), mask.to(device)).cpu().tolist()
            found.update(zip(part, values, strict=True))
            told.progress(len(found), len(distinct), "score")
    finally:
        model.train(was_training)
    out = np.array([found[row] for row in rows], dtype=np.float32)
    if not np.isfinite(out).all():
        raise NotFiniteError("the model gives scores that are not finite")
    return out
