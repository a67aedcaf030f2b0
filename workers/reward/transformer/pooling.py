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


def state_width(model: Any) -> int:
    """H of the pooled states."""
    return int(model.config.get_text_config().hidden_size)


def reward_scores(model: Any, input_ids: Tensor, attention_mask: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Raw float32 scores (B,) of token rows (B, T).

    ``dropout`` acts on a decoder's pooled state, in training mode alone.
    """
    return scores_and_states(model, input_ids, attention_mask, dropout=dropout)[0]


def scores_and_states(
    model: Any, input_ids: Tensor, attention_mask: Tensor, *, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """``reward_scores`` and the float32 states (B, H) that aspect heads read: a decoder's pooled state, an
    encoder's last state of its first real token."""
    if not has_decoder_head(model):
        return _encoder_scores_and_states(model, input_ids, attention_mask)
    # Positions count real tokens, so padding on the left shifts nothing.
    position_ids = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
    backbone = getattr(model, model.base_model_prefix)
    states = backbone(
        input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
    ).last_hidden_state
    return head_scores(model, last_real_token(states, attention_mask), dropout=dropout)


def head_scores(model: Any, pooled: Tensor, *, dropout: float = 0.0) -> tuple[Tensor, Tensor]:
    """Scores (B,) of a decoder's pooled states (B, H), and these states in float32 after dropout."""
    states = F.dropout(pooled.float(), dropout, training=model.training)
    return F.linear(states, model.score.weight.float())[:, 0], states


def _encoder_scores_and_states(
    model: Any, input_ids: Tensor, attention_mask: Tensor
) -> tuple[Tensor, Tensor]:
    seen: list[Tensor] = []
    backbone = getattr(model, model.base_model_prefix)
    # Asking for hidden states would keep those of every layer.
    hook = backbone.register_forward_hook(lambda _module, _inputs, output: seen.append(output[0]))
    try:
        logits: Tensor = model(input_ids=input_ids, attention_mask=attention_mask).logits
    finally:
        hook.remove()
    first = attention_mask.argmax(dim=1)  # (B,)
    states = seen[0][torch.arange(len(first), device=first.device), first]
    return logits.float()[:, 0], states.float()
