"""A trained starter: weights, a scorer, and its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ..errors import CorruptModelError, Stopped
from ..folder import FORMAT, MODEL_CARD, write_json
from ..types import Callbacks, FloatArray, Item, Scores
from .features import VERSION, FeatureSpec, featurise, sizes

WEIGHTS = "model.safetensors"
CHUNK = 512


@dataclass(slots=True)
class StarterModel:
    """``weight`` (D,) gives the score, ``heads`` (K, D) its bootstrap ensemble; both float32."""

    spec: FeatureSpec
    weight: FloatArray
    heads: FloatArray
    temperature: float = 1.0
    details: dict[str, Any] = field(default_factory=dict)
    kind: str = "starter"

    @property
    def template_hash(self) -> str:
        """Hash of how text becomes columns."""
        return self.spec.template_hash

    def score(self, items: Sequence[Item], *, callbacks: Callbacks | None = None) -> Scores:
        """Scores in the order given. Raises ``Stopped`` between chunks of 512 responses."""
        told = callbacks or Callbacks()
        both = np.concatenate([self.weight[None], self.heads]).T  # (D, 1 + K)
        out = np.zeros((len(items), both.shape[1]), dtype=np.float32)
        n_tokens = np.zeros(len(items), dtype=np.int64)
        truncated = np.zeros(len(items), dtype=np.bool_)
        for start in range(0, len(items), CHUNK):
            if told.should_stop():
                raise Stopped(f"stopped after {start} of {len(items)} responses")
            part = slice(start, start + CHUNK)
            texts = [item.response for item in items[part]]
            out[part] = featurise(texts, self.spec) @ both
            n_tokens[part], truncated[part] = sizes(texts, self.spec)
            told.progress(min(start + CHUNK, len(items)), len(items), "score")
        return Scores(out[:, 0].copy(), out[:, 1:].copy(), n_tokens, truncated)

    def write(self, folder: Path) -> None:
        """Write weights and card into ``folder``; the caller seals it."""
        save_file({"weight": self.weight, "heads": self.heads}, folder / WEIGHTS)
        card = {
            "format": FORMAT,
            "kind": self.kind,
            "features": asdict(self.spec),
            "temperature": self.temperature,
            "template_hash": self.template_hash,
            **self.details,
        }
        write_json(folder / MODEL_CARD, card)


def load(folder: Path, card: dict[str, Any]) -> StarterModel:
    """Open a verified folder; raises ``CorruptModelError`` when card and weights contradict each other."""
    try:
        if (version := card["features"]["version"]) != VERSION:
            raise CorruptModelError(
                f"the starter was trained on columns of version {version}, this program reads version {VERSION}: "
                "train it again"
            )
        spec = FeatureSpec.from_dict(card["features"])
        tensors = load_file(folder / WEIGHTS)
        weight, heads = tensors["weight"], tensors["heads"]
        temperature = float(card["temperature"])
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
        raise CorruptModelError(f"the starter model cannot be read: {error}") from error
    if weight.shape != (spec.columns,) or heads.ndim != 2 or heads.shape[1] != spec.columns:
        raise CorruptModelError(f"weights of shape {weight.shape} and {heads.shape} do not fit the features")
    if not (np.isfinite(weight).all() and np.isfinite(heads).all() and temperature > 0):
        raise CorruptModelError("the starter model holds values that are not finite")
    details = {k: v for k, v in card.items() if k in ("config", "metrics", "counts", "calibration")}
    return StarterModel(spec, weight, heads, temperature, details)
