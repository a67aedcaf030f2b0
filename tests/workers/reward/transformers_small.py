"""Settings and models small enough that a test trains in about a second."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from workers.reward import TransformerConfig
from workers.reward.transformer.build import build_model, build_tokenizer

from .builders import planted_pairs

TINY = TransformerConfig(
    tiny_vocabulary=320,
    tiny_hidden=32,
    tiny_layers=1,
    tiny_heads=2,
    batch_tokens=512,
    epochs=4,
    learning_rate=5e-3,
    evaluate_every=4,
    checkpoint_every=3,
    log_every=1,
    device="cpu",
    max_length=128,
    dropout=0.1,
)
ENCODER = dataclasses.replace(TINY, base="tiny-encoder")
CALM = dataclasses.replace(TINY, dropout=0.0)


def tiny_model(config: TransformerConfig = TINY) -> tuple[Any, Any]:
    """An untrained model in evaluation mode and its tokenizer."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(config, config.base, planted_pairs(40))
    return build_model(config, config.base, tokenizer).eval(), tokenizer
