"""What is trained on and scored: three kinds of data, one tokenizer, sizes of a model. Same token ids for all."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from workers.reward import Message, Pair, TransformerConfig, train
from workers.reward.transformer.template import ConversationEncoder
from workers.reward.transformer.tiny import distinct_texts, train_tokenizer

from .machines import Machine

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MAX_LENGTH = 2048
# How many times as long as the longer answer a prompt is that counts as long.
LONG_PROMPT = 2
VOCABULARY = 8192
CASES = ("arguments", "multi-turn", "ranked")


class Size(NamedTuple):
    """Of a Qwen2; ``vocabulary`` is that of its embeddings, at least the tokenizer's."""

    layers: int
    width: int
    heads: int
    key_heads: int
    inner: int
    vocabulary: int = 0

    @property
    def last_layer(self) -> int:
        """Parameters of the last layer's matrices but those of keys and values."""
        return 2 * self.width**2 + 3 * self.width * self.inner

    @property
    def matrices(self) -> int:
        """Parameters of the layers' matrices."""
        keys_and_values = 2 * self.width * (self.width // self.heads) * self.key_heads
        return self.layers * (self.last_layer + keys_and_values)


# 4M and 34M: parameters of the linear layers; 0.5B: a Qwen2-0.5B (494M with embeddings, 358M without).
SIZES = {
    "4M": Size(4, 256, 4, 4, 1024),
    "34M": Size(8, 512, 8, 8, 2048),
    "0.5B": Size(24, 896, 14, 2, 4864, vocabulary=151_936),
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """Folders that a child process reads: ``base`` an untrained model, ``model`` a reward model to score with."""

    base: Path
    model: Path


def arguments() -> list[Pair]:
    """Argument pairs: a short prompt, two arguments."""
    with gzip.open(DATA / "convincing-arguments" / "pairs.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Pair(r["id"], (Message("user", r["prompt"]),), r["chosen"], r["rejected"]) for r in rows]


def _ranked_lists() -> list[tuple[tuple[Message, ...], list[str]]]:
    rows = json.loads((DATA / "oasst-zh" / "oaast_rm_zh.json").read_text(encoding="utf-8"))
    out = []
    for row in rows:
        turns = [
            message
            for question, answer in row.get("history") or []
            for message in (Message("user", question), Message("assistant", answer))
        ]
        asked = "\n".join(part for part in (row["instruction"], row.get("input", "")) if part)
        out.append(((*turns, Message("user", asked)), list(dict.fromkeys(row["output"]))))
    return out


def ranked() -> list[Pair]:
    """All pairs of ranked lists of two to five answers, list by list."""
    return [
        Pair(f"{number}-{i}-{j}", messages, answers[i], answers[j])
        for number, (messages, answers) in enumerate(_ranked_lists())
        for i in range(len(answers))
        for j in range(i + 1, len(answers))
    ]


def multi_turn() -> list[Pair]:
    """Conversations of three or more turns whose prompt is at least twice as long as the longer answer, one pair
    each; those over the limit are left out (TRL leaves them out, too)."""
    pairs = [
        Pair(f"o{number}", messages, answers[0], answers[-1])
        for number, (messages, answers) in enumerate(_ranked_lists())
        if len(messages) >= 3 and len(answers) >= 2
    ]
    roles = {"human": "user", "gpt": "assistant", "system": "system"}
    for name in ("dpo_en_demo.json", "dpo_zh_demo.json"):
        rows = json.loads((DATA / "formats" / name).read_text(encoding="utf-8"))
        pairs += [
            Pair(
                f"{name}-{number}",
                tuple(Message(roles[turn["from"]], turn["value"]) for turn in row["conversations"]),
                row["chosen"]["value"],
                row["rejected"]["value"],
            )
            for number, row in enumerate(rows)
            if len(row["conversations"]) >= 3 and row["chosen"]["value"] != row["rejected"]["value"]
        ]
    return [pair for pair in pairs if _has_long_prompt(pair)]


def _has_long_prompt(pair: Pair) -> bool:
    """Counted in characters; a character is about a token in Chinese and less in English."""
    prompt = sum(len(message.content) for message in pair.messages)
    longer = max(len(pair.chosen), len(pair.rejected))
    return LONG_PROMPT * longer <= prompt and prompt + longer < MAX_LENGTH


def pairs_of(case: str, seed: int, most: int = 1000) -> list[Pair]:
    """About ``most`` of a case's pairs, in an order of their own for every round. Ranked lists come whole."""
    rng = random.Random(seed)
    pairs = {"arguments": arguments, "multi-turn": multi_turn, "ranked": ranked}[case]()
    if case == "ranked":
        lists: dict[tuple[Message, ...], list[Pair]] = {}
        for pair in pairs:
            lists.setdefault(pair.messages, []).append(pair)
        whole = list(lists.values())
    else:
        whole = [[pair] for pair in pairs]
    rng.shuffle(whole)
    taken: list[Pair] = []
    for members in whole:
        if len(taken) < most:
            taken += members
    rng.shuffle(taken)
    return taken


def base_config(base: Path, machine: Machine, **options: Any) -> TransformerConfig:
    """Settings that ours and the rival share where both have them."""
    return TransformerConfig(
        base=str(base), max_length=MAX_LENGTH, learning_rate=1e-4, device=machine.device, dtype=machine.dtype,
        dropout=0.0, centering=0.0, weight_decay=0.0, margin_scale=0.0, log_every=1, **options,
    )  # fmt: skip


def prepare(folder: Path, name: str, machine: Machine) -> Prepared:
    """Write the untrained model and the reward model of one size."""
    import torch
    from transformers import Qwen2Config, Qwen2ForSequenceClassification

    found = Prepared(folder / f"{name}-base", folder / f"{name}-model")
    sample = [*arguments()[:1500], *ranked(), *multi_turn()]
    tokenizer = train_tokenizer(distinct_texts(sample), VOCABULARY, encoder=False)
    size = SIZES[name]
    torch.manual_seed(0)
    model = Qwen2ForSequenceClassification(
        Qwen2Config(
            vocab_size=max(size.vocabulary, len(tokenizer)),
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.key_heads,
            intermediate_size=size.inner,
            max_position_embeddings=MAX_LENGTH,
            num_labels=1,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
    )
    model.to(getattr(torch, machine.dtype)).save_pretrained(found.base)
    tokenizer.save_pretrained(found.base)
    train("transformer", arguments()[:8], base_config(found.base, machine, max_steps=1), found.model)
    machine.meter().release()
    return found


def encoder_of(base: Path) -> ConversationEncoder:
    """How both sides' text becomes token ids."""
    from transformers import AutoTokenizer

    return ConversationEncoder(AutoTokenizer.from_pretrained(str(base)), MAX_LENGTH)
