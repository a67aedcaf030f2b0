"""A trained transformer as a scorer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import nn

from ..errors import CorruptModelError
from ..folder import is_trusted
from ..types import Callbacks, Item, Scores
from .build import pick_device
from .heads import load_heads, make_heads
from .inference import rate_rows
from .objective import load_aspects
from .packed import use_trees
from .pooling import head_of, in_float32, state_width
from .template import ConversationEncoder, load_encoder

log = logging.getLogger(__name__)

# Tokens of a batch: what stays in a CPU's caches (docs/experiments.md), and what keeps a GPU busy.
BUDGETS = {"cpu": 4096, "cuda": 16_384}


@dataclass(slots=True)
class TransformerScorer:
    """Raw float32 scores of one model. With one head the ensemble's spread is 0.

    A model that learned ties has ``tie_threshold`` and ``tie_temperature`` for ``predict.outcome_probabilities``;
    one that learned ``aspects`` predicts ratings beside the scores. ``padded_because`` says why its rows are padded,
    and is empty where they are packed.
    """

    model: nn.Module
    encoder: ConversationEncoder
    pad_id: int
    temperature: float
    tie_threshold: float | None = None
    tie_temperature: float | None = None
    aspects: tuple[str, ...] = ()
    aspect_heads: nn.Linear | None = None
    heads: nn.Linear | None = None
    padded_because: str = ""
    budget: int = 8192
    kind: str = "transformer"

    @property
    def template_hash(self) -> str:
        """Hash of template, special tokens and length limit."""
        return self.encoder.template_hash

    def score(self, items: Sequence[Item], *, callbacks: Callbacks | None = None) -> Scores:
        """Scores in the order given. Raises ``Stopped`` between batches."""
        encoded = [self.encoder.encode(item.messages, item.response) for item in items]
        readers = [reader for reader in (self.heads, self.aspect_heads) if reader is not None]
        found = rate_rows(self.model, readers, encoded, self.pad_id, self.budget, callbacks=callbacks)
        # The model's own score, K heads' (none where the own is the only one), A ratings.
        first = found.shape[1] - len(self.aspects)
        return Scores(
            found[:, 0].copy(),
            found[:, min(1, first - 1) : first].copy(),
            np.array([len(e.ids) for e in encoded], dtype=np.int64),
            np.array([e.truncated for e in encoded], dtype=np.bool_),
            {name: found[:, i].copy() for i, name in enumerate(self.aspects, start=first)},
        )


def dtype_on(device: torch.device, dtype: str) -> torch.dtype | str:
    """What a backbone is read in: as named, or by ``auto`` on CUDA as the folder has it, else in float32."""
    if dtype == "auto" and device.type == "cuda":
        return "auto"
    return torch.float32 if dtype == "auto" else getattr(torch, dtype)


def load_scorer(
    folder: Path, card: dict[str, Any], *, device: str = "auto", dtype: str = "auto"
) -> TransformerScorer:
    """Open a verified folder; raises ``CorruptModelError`` when its parts do not fit. ``dtype`` as for
    ``api.open_reward_model``."""
    from transformers import AutoModelForSequenceClassification

    encoder = load_encoder(folder, card)
    try:
        model, info = AutoModelForSequenceClassification.from_pretrained(
            str(folder),
            dtype=dtype_on(pick_device(device), dtype),
            use_safetensors=True,
            trust_remote_code=is_trusted(str(card.get("base", ""))),
            output_loading_info=True,
        )
        temperature = float(card["temperature"])
        threshold, tie_temperature = (
            None if card.get(key) is None else float(card[key])
            for key in ("tie_threshold", "tie_temperature")
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CorruptModelError(f"the model cannot be read: {error}") from error
    if info["missing_keys"] or model.config.num_labels != 1:
        raise CorruptModelError(f"not a whole reward model: {sorted(info['missing_keys'])} missing")
    if model.dtype != torch.float32:
        in_float32(head_of(model))
        _read_head(model, folder)
    model.to(pick_device(device)).eval()
    padded_because = use_trees(model, encoder.max_length)
    log.info("rows are laid out as %s", f"rectangles: {padded_because}" if padded_because else "trees")
    names, count = tuple(card.get("aspects") or ()), int(card.get("heads") or 1)
    aspects, heads = None, None
    if names:
        aspects = load_aspects(folder, names, state_width(model)).to(next(model.parameters()).device)
    if count > 1:
        heads = make_heads(model, count)
        load_heads(folder, heads)
    return TransformerScorer(
        model,
        encoder,
        encoder.tokenizer.pad_token_id,
        temperature,
        threshold,
        tie_temperature,
        names,
        aspects,
        heads,
        padded_because,
        budget=BUDGETS.get(next(model.parameters()).device.type, BUDGETS["cpu"]),
    )


def _read_head(model: nn.Module, folder: Path) -> None:
    """The head's weights as the folder has them, in float32: read with the backbone they were rounded."""
    own = {id(weight) for weight in head_of(model).parameters()}
    weights = {name: weight for name, weight in model.named_parameters() if id(weight) in own}
    with torch.no_grad():
        for path in folder.glob("*.safetensors"):
            with safe_open(path, "pt") as saved:
                for name in weights.keys() & saved.keys():
                    weights[name].copy_(saved.get_tensor(name))
