"""A small model built from the project's own text, where no weights can or should be downloaded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from ..config import TransformerConfig
from ..types import Pair
from .template import ENCODER_TEMPLATE, clean

PAD, START, END, TEXT = "<|pad|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>"
MOST_LETTERS = 1000
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def distinct_texts(pairs: Iterable[Pair]) -> Iterator[str]:
    """Every prompt turn and response once, in order of appearance."""
    seen: dict[str, None] = {}
    for pair in pairs:
        for text in (*(m[1] for m in pair.messages), pair.chosen, pair.rejected):
            if text not in seen:
                seen[text] = None
                yield clean(text)


def train_tokenizer(texts: Iterable[str], vocabulary: int, *, encoder: bool) -> Any:
    """A small tokenizer of the very class that transformers gives the model's family.

    ``AutoTokenizer`` picks the class by the model's type and rebuilds its pre-tokenizer, whatever the folder
    says: a tokenizer of another form would read back with other tokens.
    """
    from transformers import BertTokenizer, Qwen2Tokenizer

    if encoder:
        plain = BertTokenizer()
        special = [plain.pad_token, plain.unk_token, plain.cls_token, plain.sep_token, plain.mask_token]
        learned = _learn(models.WordPiece(unk_token=plain.unk_token), plain, texts, vocabulary, special)
        words = BertTokenizer(vocab=learned["vocab"])
        words.chat_template = ENCODER_TEMPLATE
        return words
    learned = _learn(models.BPE(), Qwen2Tokenizer(), texts, vocabulary, [TEXT, START, END, PAD])
    merges: Any = [tuple(m) if isinstance(m, list) else m for m in learned["merges"]]
    tokenizer = Qwen2Tokenizer(
        vocab=learned["vocab"], merges=merges, eos_token=END, pad_token=PAD, additional_special_tokens=[START]
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _learn(
    model: Any, plain: Any, texts: Iterable[str], vocabulary: int, special: list[str]
) -> dict[str, Any]:
    """Vocabulary (and merges) learned from ``texts`` under the normalizer and pre-tokenizer of ``plain``."""
    raw = Tokenizer(model)
    raw.normalizer = plain.backend_tokenizer.normalizer
    raw.pre_tokenizer = plain.backend_tokenizer.pre_tokenizer
    options: dict[str, Any] = {"vocab_size": vocabulary, "special_tokens": special, "show_progress": False}
    if isinstance(model, models.BPE):  # every byte is in the vocabulary: no text is unknown, in any script
        trainer: Any = trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **options)
    else:
        texts = [raw.normalizer.normalize_str(text) for text in texts]
        counts = Counter(
            c for text in texts for word, _ in raw.pre_tokenizer.pre_tokenize_str(text) for c in word
        )
        kept = sorted(sorted(counts, key=lambda c: (-counts[c], c))[:MOST_LETTERS])
        rare = {ord(c): None for c in counts.keys() - set(kept)}
        texts = [text.translate(rare) for text in texts]
        # The trainer itself would number a word's later letters, and choose among rare ones, by the order of a hash
        # table: other ids, and so other weights, every time.
        options["special_tokens"] = [*special, *(f"##{c}" for c in kept)]
        trainer = trainers.WordPieceTrainer(**options)
    raw.train_from_iterator(texts, trainer)
    found: dict[str, Any] = json.loads(raw.to_str())["model"]
    return found


def tiny_config(tokenizer: Any, config: TransformerConfig) -> Any:
    """Qwen2 for ``tiny``, BERT for ``tiny-encoder``, in the sizes of the settings."""
    from transformers import BertConfig, Qwen2Config

    # The gated layer has three matrices: 8/3 of the width costs what 4 costs a plain one. In steps of 32.
    inner = max(32, round(config.tiny_hidden * 8 / 3 / 32) * 32)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": config.tiny_hidden,
        "num_hidden_layers": config.tiny_layers,
        "num_attention_heads": config.tiny_heads,
        "intermediate_size": inner,
        "max_position_embeddings": max(512, config.max_length),
        "pad_token_id": tokenizer.pad_token_id,
        "num_labels": 1,
    }
    if config.base == "tiny-encoder":
        return BertConfig(**sizes)
    return Qwen2Config(
        **sizes, num_key_value_heads=config.tiny_heads, eos_token_id=tokenizer.eos_token_id, bos_token_id=None
    )
