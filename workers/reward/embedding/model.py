"""A frozen backbone with K linear heads: a scorer, and its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ..errors import CorruptModelError, Stopped
from ..folder import FORMAT, MODEL_CARD, write_json
from ..transformer.heads import HEADS
from ..transformer.packed import backbone_of, layout_of
from ..transformer.pooling import own_layer
from ..types import Callbacks, FloatArray, Item, Quiet, Scores
from .cache import EmbeddingCache
from .embed import Backbone, open_backbone

CHUNK = 2048


@dataclass(slots=True)
class EmbeddingModel:
    """``heads`` (K, H) float32 on the backbone's states; the score is the mean over heads.

    With a ``cache`` the states of texts that were read before, in training or by another scorer, are not computed
    again.
    """

    backbone: Backbone
    heads: FloatArray
    temperature: float = 1.0
    cache: EmbeddingCache | None = None
    details: dict[str, Any] = field(default_factory=dict)
    kind: str = "embedding"

    @property
    def weight(self) -> FloatArray:
        """The mean head (H,)."""
        mean: FloatArray = self.heads.mean(axis=0)
        return mean

    @property
    def template_hash(self) -> str:
        """Hash of template, special tokens and length limit."""
        return self.backbone.encoder.template_hash

    def score(self, items: Sequence[Item], *, callbacks: Callbacks | None = None) -> Scores:
        """Scores in the order given. Raises ``Stopped`` between batches."""
        told = callbacks or Callbacks()
        rows = [self.backbone.encoder.encode(item.messages, item.response) for item in items]
        both = np.concatenate([self.weight[None], self.heads]).T  # (H, 1 + K)
        out = np.zeros((len(items), both.shape[1]), dtype=np.float32)
        for start in range(0, len(rows), CHUNK):
            if told.should_stop():
                raise Stopped(f"stopped after {start} of {len(rows)} responses")
            part = slice(start, start + CHUNK)
            out[part] = self.backbone.states(rows[part], self.cache, callbacks=Quiet(told)) @ both
            told.progress(min(start + CHUNK, len(rows)), len(rows), "score")
        if self.cache:
            self.cache.shrink()
        return Scores(
            out[:, 0].copy(),
            out[:, 1:].copy(),
            np.array([len(row.ids) for row in rows], dtype=np.int64),
            np.array([row.truncated for row in rows], dtype=np.bool_),
        )

    def write(self, folder: Path) -> None:
        """Write a Hugging Face folder, heads and card; the caller seals it.

        Where a linear head on the states is what transformers' own classifier computes, the folder is one, and gives
        the mean head's score; otherwise it holds the backbone alone, so that nobody gets another score from it.
        """
        backbone, model = self.backbone, self.backbone.model
        model.config.problem_type = "regression"
        if backbone.is_classifier:
            own = own_layer(model)
            with torch.no_grad():
                own.weight.copy_(torch.from_numpy(self.weight)[None])
                if own.bias is not None:
                    own.bias.zero_()
            model.save_pretrained(str(folder))
        else:
            backbone_of(model).save_pretrained(str(folder))
        backbone.encoder.tokenizer.save_pretrained(str(folder))
        (folder / HEADS).parent.mkdir()
        tensors = {"weight": self.heads}
        if backbone.is_classifier and own_layer(model).bias is not None:
            tensors["bias"] = np.zeros(len(self.heads), dtype=np.float32)
        save_file(tensors, folder / HEADS)
        card = {
            "format": FORMAT,
            "kind": self.kind,
            "pool": backbone.pool,
            "backbone": backbone.identity,
            "is_classifier": backbone.is_classifier,
            "heads": len(self.heads),
            "template_hash": self.template_hash,
            "max_length": backbone.encoder.max_length,
            "temperature": self.temperature,
            "layout": layout_of(model),
            "padded_because": backbone.padded_because,
            **self.details,
        }
        write_json(folder / MODEL_CARD, card)


def load(folder: Path, card: dict[str, Any], cache_dir: Path | None) -> EmbeddingModel:
    """Open a verified folder; raises ``CorruptModelError`` when card, weights and heads contradict each other."""
    backbone = open_backbone(folder, card)
    try:
        heads = load_file(folder / HEADS)["weight"]
        temperature = float(card["temperature"])
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
        raise CorruptModelError(f"the heads cannot be read: {error}") from error
    if (
        heads.ndim != 2
        or heads.shape[1] != backbone.width
        or not (np.isfinite(heads).all() and temperature > 0)
    ):
        raise CorruptModelError(f"heads of shape {heads.shape} do not fit states of width {backbone.width}")
    details = {k: v for k, v in card.items() if k in ("base", "config", "metrics", "counts", "calibration")}
    cache = EmbeddingCache(cache_dir, backbone.space) if cache_dir else None
    return EmbeddingModel(backbone, heads, temperature, cache, details)
