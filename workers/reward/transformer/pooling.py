"""One rule that turns a batch of tokens into one float32 score each, in training and in scoring.

Decoders: the hidden state of the last real token, found by the attention mask. (transformers itself looks for
the last token that is not the padding token, which is the wrong one where padding and end share an id.)
Encoders: the model's own pooler and head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def last_real_token(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """``hidden`` (B, T, H) at the last position where ``attention_mask`` (B, T) is 1: (B, H).

    Holds for padding on either side. Raises ``ValueError`` for a row without a real token.
    """
    if not bool(attention_mask.any(dim=1).all()):
        raise ValueError("a row has no real token to pool")
    positions = torch.arange(attention_mask.shape[1], device=hidden.device)
    last = (positions * attention_mask.to(positions.dtype)).argmax(dim=1)  # (B,)
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), last]


def has_decoder_head(model: nn.Module) -> bool:
    """Whether the model is of transformers' decoder form: a backbone and a linear ``score`` on its states."""
    return isinstance(getattr(model, "score", None), nn.Linear)


def head_of(model: nn.Module) -> nn.Module:
    """The module whose weights are the reward head."""
    for name in ("score", "classifier", "classification_head"):
        if isinstance(head := getattr(model, name, None), nn.Module):
            return head
    raise ValueError(f"{type(model).__name__} has no head named score, classifier or classification_head")


def reward_scores(model: Any, input_ids: Tensor, attention_mask: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Raw float32 scores (B,) of token rows (B, T).

    ``dropout`` acts on a decoder's pooled state, in training mode alone.
    """
    if not has_decoder_head(model):
        logits: Tensor = model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits.float()[:, 0]
    # Positions count real tokens, so padding on the left shifts nothing.
    position_ids = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
    backbone = getattr(model, model.base_model_prefix)
    states = backbone(
        input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
    ).last_hidden_state
    pooled = F.dropout(last_real_token(states, attention_mask).float(), dropout, training=model.training)
    return F.linear(pooled, model.score.weight.float())[:, 0]
