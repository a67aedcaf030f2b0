"""Scores of a pack through the model's own forward pass, with one attention function and, where the model is of the
known form, layers that run in fewer passes (``layers``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from . import attention, layers
from .batches import Rows, lay_out
from .plan import Layout
from .pooling import has_decoder_head, head_scores, pooled_states, scores_and_states
from .trees import Pack, TokenRow

# How far packed figures may be from the row's own, as a share of their size: in float32 on a CPU, and where arithmetic
# rounds more. There it is twice what padding alone moves them, between these two.
EXACT, LEAST, MOST = 1e-4, 4e-2, 0.2
WEIGHT_DROPOUT = ("attention_dropout", "attn_pdrop", "attention_probs_dropout_prob")


def read_rows(model: Any, rows: Rows, *, dropout: float = 0.0) -> tuple[Tensor, Tensor]:
    """Raw float32 scores (R,) of rows laid out for this model, and the states (R, H) that aspect heads read."""
    if isinstance(rows, Pack):
        return head_scores(model, packed_states(model, rows), dropout=dropout)
    return scores_and_states(model, rows.input_ids, rows.attention_mask, dropout=dropout)


def scores_of(model: Any, rows: Rows, *, dropout: float = 0.0) -> Tensor:
    """Raw float32 scores (R,) of rows laid out for this model."""
    return read_rows(model, rows, dropout=dropout)[0]


def layout_of(model: Any) -> Layout:
    """How this model's rows are laid out: ``tree`` once ``use_trees`` has accepted it."""
    return "tree" if model.config._attn_implementation == attention.NAME else "padded"


def backbone_of(model: Any) -> Any:
    """The module under the head."""
    return getattr(model, model.base_model_prefix)


def packed_scores(model: Any, packed: Pack, *, dropout: float = 0.0) -> Tensor:
    """Raw float32 scores (R,) of a pack's rows. ``model`` is one that ``use_trees`` has accepted."""
    return head_scores(model, packed_states(model, packed), dropout=dropout)[0]


def packed_states(model: Any, packed: Pack) -> Tensor:
    """float32 states (R, H) of the rows' last tokens."""
    kernel = attention.kernel_for(packed.input_ids.device)
    states = backbone_of(model)(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        use_cache=False,
        tree=packed,
        kernel=kernel,
        mask=attention.mask_for(kernel, packed),
    ).last_hidden_state
    if not is_pruned(model):
        states = states[:, packed.last]
    last: Tensor = states[0].float()
    return last


def use_trees(model: Any, longest: int) -> str:
    """Switch a sequence classifier to packed trees, for rows of at most ``longest`` tokens.

    Returns why it cannot be, or an empty string. See ``switch_to_trees``.
    """
    if not has_decoder_head(model):
        return "an encoder reads both ways, so answers cannot share a prompt"
    return switch_to_trees(model, longest, _alone, _together)


Probe = Callable[[Any, Sequence[TokenRow]], Tensor]


def switch_to_trees(model: Any, longest: int, alone: Probe, together: Probe) -> str:
    """Switch a model with a causal backbone to packed trees, for rows of at most ``longest`` tokens.

    Returns why it cannot be, or an empty string. Nothing is taken on trust: the model is switched only if
    ``together``, which lays rows out as the model takes them, gives of a small pack the figures (R, ...) that ``alone``
    gives row by row.
    """
    reason = _obstacle(model, longest)
    if reason:
        return reason
    before, was_training = model.config._attn_implementation, model.training
    rows = _Row.some(model.config.get_text_config().vocab_size, longest)
    model.eval()
    try:
        with torch.no_grad():
            wanted = alone(model, rows)
            allowed = EXACT
            if next(model.parameters()).dtype != torch.float32 or wanted.device.type != "cpu":
                allowed = min(max(2.0 * _apart(together(model, rows), wanted), LEAST), MOST)
        stack = _layers(model)
        for known in (True, False) if stack and all(map(layers.has_known_form, stack)) else (False,):
            _switch(model, known=known)
            reason = _difference(model, rows, wanted, together, allowed)
            if not reason:
                return ""
            _switch_back(model, before)
    finally:
        model.train(was_training)
    return f"{type(model).__name__} does not take packed rows: {reason}"


def is_pruned(model: Any) -> bool:
    """Whether the last layer returns the rows' last tokens alone."""
    return layers.is_installed(_layers(model))


def _difference(model: Any, rows: list[_Row], alone: Tensor, together: Probe, allowed: float) -> str:
    """Why the packed figures cannot be used, or an empty string."""
    try:
        with torch.no_grad():
            off = _apart(together(model, rows), alone)
    except Exception as error:  # whatever a model that was never meant for this raises
        return str(error) or type(error).__name__
    return "" if off < allowed else f"what it reads of a row is off by {off:.2%}"


def _apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference of a row's figures, (R, ...) each, as a share of their norm. Scores would hide it: a
    small head makes any difference small."""
    wanted = wanted.double().reshape(len(wanted), -1)
    gap = found.double().reshape(len(wanted), -1) - wanted
    return float((gap.norm(dim=1) / wanted.norm(dim=1).clamp(min=1e-30)).max())


def _obstacle(model: Any, longest: int) -> str:
    config = model.config.get_text_config()
    name = type(model).__name__
    if not getattr(backbone_of(model), "_supports_attention_backend", False):
        return f"{name} has an attention of its own"
    if any(getattr(config, setting, 0.0) for setting in WEIGHT_DROPOUT):
        return f"{name} drops attention weights"
    if getattr(config, "attn_logit_softcapping", None):
        return f"{name} caps its attention"
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = {str(part.get("rope_type")) for part in (rope, *rope.values()) if isinstance(part, dict)}
    if any("dynamic" in kind or kind == "longrope" for kind in kinds):
        return f"{name} turns positions by the longest row it sees"
    window = getattr(config, "sliding_window", None)
    windowed = "sliding_attention" in (getattr(config, "layer_types", None) or ["sliding_attention"])
    if window and windowed and window < longest:
        return f"{name} looks back {window} tokens only"
    return ""


class _Row:
    def __init__(self, ids: tuple[int, ...], prompt: int) -> None:
        self.ids, self.prompt = ids, prompt

    @classmethod
    def some(cls, vocabulary: int, longest: int) -> list[_Row]:
        """Two prompts with three and one answers, of a few tokens each."""
        drawn = torch.randint(0, vocabulary, (64,), generator=torch.Generator().manual_seed(0)).tolist()
        cut = max(1, min(9, longest - 8))
        prompt, other = tuple(drawn[:cut]), tuple(drawn[20 : 20 + min(3, cut)])
        answers = [tuple(drawn[30 + 8 * i : 33 + 8 * i + 2 * i]) for i in range(3)]
        return [
            *(cls(prompt + answer, len(prompt)) for answer in answers),
            cls(other + answers[0], len(other)),
        ]


def _alone(model: Any, rows: Sequence[TokenRow]) -> Tensor:
    """Pooled states (R, H) of rows one by one, by the padded path."""
    device = next(model.parameters()).device
    ids = [torch.tensor([row.ids], device=device) for row in rows]
    return torch.cat([pooled_states(model, row, torch.ones_like(row)).float() for row in ids])


def _together(model: Any, rows: Sequence[TokenRow]) -> Tensor:
    """The same of all rows at once, padded, or packed once the model is switched."""
    laid = lay_out(rows, layout_of(model), pad_id=0).to(next(model.parameters()).device)
    return read_rows(model, laid)[1]


def _switch(model: Any, *, known: bool) -> None:
    from transformers import AttentionInterface

    AttentionInterface.register(attention.NAME, attention.tree_attention)
    model.set_attn_implementation(attention.NAME)
    if known:
        layers.install(_layers(model))


def _switch_back(model: Any, before: str) -> None:
    layers.remove(_layers(model))
    model.set_attn_implementation(before)


def _layers(model: Any) -> Any:
    return getattr(backbone_of(model), "layers", [])
