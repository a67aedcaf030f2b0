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

from ..errors import ConfigError

# What transformers' classes call their heads.
HEAD_NAMES = ("score", "classifier", "classification_head")


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
    for name in HEAD_NAMES:
        if isinstance(head := getattr(model, name, None), nn.Module):
            return head
    raise ValueError(f"{type(model).__name__} has no head named {', '.join(HEAD_NAMES)}")


def in_float32(module: nn.Module) -> None:
    """Compute a module in float32, whatever the dtype of what it reads."""

    def widen(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(x.float() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs)

    module.float().register_forward_pre_hook(widen)


def own_layer(model: nn.Module) -> nn.Linear:
    """The linear layer that gives the model's one score: a decoder's ``score``, the last layer of an encoder's
    head. Raises ``ConfigError`` for a head that does not end so."""
    for layer in reversed([*head_of(model).modules()]):
        if isinstance(layer, nn.Linear) and layer.out_features == 1:
            return layer
    raise ConfigError(f"the head of {type(model).__name__} does not end in a linear layer with one output")


def state_width(model: nn.Module) -> int:
    """H of the pooled states."""
    return own_layer(model).in_features


def reward_scores(model: Any, input_ids: Tensor, attention_mask: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Raw float32 scores (B,) of token rows (B, T).

    ``dropout`` acts on a decoder's pooled state, in training mode alone.
    """
    return scores_and_states(model, input_ids, attention_mask, dropout=dropout)[0]


def scores_and_states(
    model: Any, input_ids: Tensor, attention_mask: Tensor, *, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """``reward_scores`` and the float32 states (B, H) that other heads read: those that the own layer reads."""
    if not has_decoder_head(model):
        return _encoder_scores_and_states(model, input_ids, attention_mask)
    return head_scores(model, pooled_states(model, input_ids, attention_mask), dropout=dropout)


def pooled_states(model: Any, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """A decoder's states (B, H) at the last real tokens of rows (B, T)."""
    # Positions count real tokens, so padding on the left shifts nothing.
    position_ids = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
    backbone = getattr(model, model.base_model_prefix)
    states = backbone(
        input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
    ).last_hidden_state
    return last_real_token(states, attention_mask)


def head_scores(model: Any, pooled: Tensor, *, dropout: float = 0.0) -> tuple[Tensor, Tensor]:
    """Scores (B,) of a decoder's pooled states (B, H), and these states in float32 after dropout."""
    states = F.dropout(pooled.float(), dropout, training=model.training)
    return F.linear(states, model.score.weight.float())[:, 0], states


def _encoder_scores_and_states(
    model: Any, input_ids: Tensor, attention_mask: Tensor
) -> tuple[Tensor, Tensor]:
    seen: list[Tensor] = []
    hook = own_layer(model).register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0]))
    try:
        logits: Tensor = model(input_ids=input_ids, attention_mask=attention_mask).logits
    finally:
        hook.remove()
    return logits.float()[:, 0], seen[0].float()
