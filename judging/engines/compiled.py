"""A GPT-2 whose weights are written down, not learned: it computes a linear comparison of two texts.

Given token weights w, the logit of A is `scale · z` and that of B `−scale · z`, where

    z = (Σ w over the tokens of response A  −  Σ w over the tokens of response B) / T

and T is the number of tokens in the prompt. How two layers do it:

- every vector carries the constants +K and −K in two places, so that layer normalisation divides by (nearly)
  the same number everywhere and its weight undoes it; every other value is stored with its negative, so that
  the mean is zero;
- layer 1, attention: one head looks for the mark of A, one for the mark of B; a token thereby knows whether
  it stands after either;
- layer 1, MLP: gates write +w into tokens of A, −w into tokens of B, and nothing into the rest;
- layer 2, attention: a head without a query averages that over all tokens, which is z;
- the output row of the tie is a constant, all other tokens have a logit of −30.

Swapping the responses negates z, so this judge has no preference for a slot at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

WIDTH, HEADS, NEURONS = 32, 2, 8
CONSTANT = 1000.0
_OTHER_LOGIT = -30.0
_SHARPNESS = 20.0  # attention score of a mark: e^20 outweighs any number of other tokens
_GATE_HEIGHT = 7.0  # far enough right on GELU to be the identity for |w| ≤ 1
_GATE_DEPTH = 16.0  # how far a closed gate is pushed below zero
_GAIN = 50.0
# Places in the residual stream; each value's negative stands in the place after it.
_PLUS, _WEIGHT, _IS_A, _IS_B, _AFTER_A, _AFTER_B, _SIGNED, _MEAN = range(0, 16, 2)


@dataclass(frozen=True)
class Marks:
    """Token ids of the part marks and the labels."""

    first: int
    second: int
    label_a: int
    label_b: int
    label_tie: int


@torch.no_grad()
def compile_judge(
    token_weights: Tensor, *, tie_logit: float, marks: Marks, pad_id: int, max_tokens: int
) -> Any:
    """The GPT2LMHeadModel for `token_weights` (V,), which are logits per unit of z. Cost: milliseconds."""
    model: Any = GPT2LMHeadModel(  # type: ignore[no-untyped-call]
        GPT2Config(
            vocab_size=len(token_weights),
            n_positions=max_tokens,
            n_embd=WIDTH,
            n_layer=2,
            n_head=HEADS,
            n_inner=NEURONS,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            tie_word_embeddings=False,
            pad_token_id=pad_id,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    for parameter in model.parameters():
        parameter.zero_()
    scale = float(token_weights.abs().max().clamp(min=1e-9))
    undo = CONSTANT * (2.0 / WIDTH) ** 0.5
    for name, parameter in model.named_parameters():
        if ".ln_" in name and name.endswith("weight"):
            parameter.fill_(undo)
    _write_embeddings(model.transformer.wte.weight, token_weights / scale, marks)
    _write_marks_heads(model.transformer.h[0].attn)
    _write_gates(model.transformer.h[0].mlp)
    _write_mean_head(model.transformer.h[1].attn)
    rows = model.lm_head.weight  # (V, D)
    rows[:, _PLUS] = _OTHER_LOGIT / CONSTANT
    for label, sign in ((marks.label_a, 1.0), (marks.label_b, -1.0)):
        rows[label, _PLUS] = 0.0
        rows[label, _MEAN] = sign * scale / _GAIN
    rows[marks.label_tie, _PLUS] = tie_logit / CONSTANT
    return model.eval()


def _put(matrix: Tensor, row: int, place: int, value: float) -> None:
    """Write a value and its negative, so that the mean of the stream stays zero."""
    matrix[row, place] = value
    matrix[row, place + 1] = -value


def _write_embeddings(embeddings: Tensor, weights: Tensor, marks: Marks) -> None:
    embeddings[:, _PLUS] = CONSTANT
    embeddings[:, _PLUS + 1] = -CONSTANT
    embeddings[:, _WEIGHT] = weights
    embeddings[:, _WEIGHT + 1] = -weights
    for token, place in ((marks.first, _IS_A), (marks.second, _IS_B)):
        _put(embeddings, token, _WEIGHT, 0.0)
        _put(embeddings, token, place, 1.0)


def _write_marks_heads(attention: Any) -> None:
    """Head 0 reads the mark of A, head 1 that of B, into `after A` and `after B`."""
    size = WIDTH // HEADS
    joint = attention.c_attn.weight  # (D, 3D): query, key, value side by side
    for head, (mark, after) in enumerate(((_IS_A, _AFTER_A), (_IS_B, _AFTER_B))):
        column = head * size
        joint[_PLUS, column] = 1.0 / CONSTANT
        joint[mark, WIDTH + column] = _SHARPNESS * size**0.5
        joint[mark, 2 * WIDTH + column] = 1.0
        _put(attention.c_proj.weight, column, after, 1.0)


def _write_gates(mlp: Any) -> None:
    """Neurons: w gated by A, w gated by B, and the two gates alone to take their height off again."""
    fc, projection = mlp.c_fc, mlp.c_proj
    for neuron, (reads_weight, in_a, sign) in enumerate(
        ((True, True, 1.0), (True, False, -1.0), (False, True, -1.0), (False, False, 1.0))
    ):
        fc.bias[neuron] = _GATE_HEIGHT - _GATE_DEPTH
        fc.weight[_WEIGHT, neuron] = 1.0 if reads_weight else 0.0
        fc.weight[_AFTER_A, neuron] = _GATE_DEPTH if in_a else 0.0
        fc.weight[_AFTER_B, neuron] = -_GATE_DEPTH if in_a else _GATE_DEPTH
        _put(projection.weight, neuron, _SIGNED, sign)


def _write_mean_head(attention: Any) -> None:
    attention.c_attn.weight[_SIGNED, 2 * WIDTH] = 1.0
    _put(attention.c_proj.weight, 0, _MEAN, _GAIN)
