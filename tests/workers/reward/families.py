"""Small language models of many families, as folders that a run can start from."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

from workers.reward.transformer.tiny import distinct_texts, train_tokenizer

from .builders import planted_pairs

DECODERS = ("Qwen2", "Qwen3", "Llama", "Mistral", "Gemma", "Gemma2", "Gemma3Text")
ENCODERS = ("Bert", "Roberta", "XLMRoberta", "DebertaV2", "ModernBert")
CAUSAL = {"Gemma3Text": "Gemma3ForCausalLM"}
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 192,
    "bos_token_id": None,
}


@functools.cache
def _learned(encoder: bool) -> Any:
    return train_tokenizer([*distinct_texts(planted_pairs(40))], 320, encoder=encoder)


def tokenizer_for(family: str) -> Any:
    """One whose tokens are the same under any model type."""
    learned = _learned(family in ENCODERS)
    plain = PreTrainedTokenizerFast(tokenizer_object=learned.backend_tokenizer, **learned.special_tokens_map)
    plain.chat_template = learned.chat_template
    return plain


def language_model(family: str, folder: Path, **sizes: int) -> Path:
    """Write an untrained language model of ``family`` with its tokenizer into ``folder``."""
    tokenizer = tokenizer_for(family)
    options = SIZES | dict(sizes, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    if family in DECODERS:
        options = {"num_key_value_heads": 2, "head_dim": 8, "eos_token_id": tokenizer.eos_token_id} | options
    if family == "ModernBert":
        options |= {
            "eos_token_id": None,
            "sep_token_id": tokenizer.sep_token_id,
            "cls_token_id": tokenizer.cls_token_id,
        }
    if family in ("Roberta", "XLMRoberta"):
        options["max_position_embeddings"] += 2
    config = getattr(transformers, f"{family}Config")(**options)
    name = CAUSAL.get(family, f"{family}For{'CausalLM' if family in DECODERS else 'MaskedLM'}")
    torch.manual_seed(0)
    model = getattr(transformers, name)(config)
    with torch.no_grad():  # weights large enough for scores to differ
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@torch.no_grad()
def scores_by_transformers(
    model: Any, folder: Path, texts: list[str], question: str = "Question?"
) -> torch.Tensor:
    """What ``model``'s own forward gives for answers to a question, in one padded batch: (N,) float32."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rendered = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}, {"role": "assistant", "content": text}], tokenize=False
        )
        for text in texts
    ]
    batch = tokenizer(rendered, add_special_tokens=False, padding=True, return_tensors="pt")
    batch.pop("token_type_ids", None)
    logits: torch.Tensor = model.eval()(**batch).logits
    return logits[:, 0].float()


def reloaded(folder: Path, **options: Any) -> Any:
    """The model of a folder, read as anybody would."""
    return AutoModelForSequenceClassification.from_pretrained(folder, **options).eval()
