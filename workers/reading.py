"""What a model reads of a text, cut to what a page can show: a web process never holds the tokens of a long one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Tokens that are shown from the start and from the end of a longer text.
TOKENS_SHOWN = 1200
CHARACTERS_SHOWN = 40_000


@dataclass(frozen=True)
class Token:
    """`role` is prompt, answer or special."""

    id: int
    text: str
    role: str


@dataclass(frozen=True)
class Shown:
    """A result as the page shows it. `hidden` tokens stand between `head` and `tail`."""

    head: list[Token]
    tail: list[Token]
    hidden: int
    total: int
    prompt: int
    answer: int
    special: int
    text: str
    text_cut: bool
    truncated: bool
    cut_prompt: int
    cut_answer: int
    max_length: int
    template_hash: str
    warnings: list[str]


def shown(found: dict[str, Any]) -> Shown:
    tokens = [
        Token(int(number), str(text), "special" if is_special else "prompt" if is_prompt else "answer")
        for number, text, is_prompt, is_special in found["tokens"]
    ]
    short = len(tokens) <= 2 * TOKENS_SHOWN
    counts = {role: sum(token.role == role for token in tokens) for role in ("prompt", "answer", "special")}
    return Shown(
        head=tokens if short else tokens[:TOKENS_SHOWN],
        tail=[] if short else tokens[-TOKENS_SHOWN:],
        hidden=0 if short else len(tokens) - 2 * TOKENS_SHOWN,
        total=len(tokens),
        text=found["text"][:CHARACTERS_SHOWN],
        text_cut=len(found["text"]) > CHARACTERS_SHOWN,
        truncated=bool(found["truncated"]),
        cut_prompt=found.get("cut_prompt", 0),
        cut_answer=found.get("cut_answer", 0),
        max_length=found.get("max_length", 0),
        template_hash=str(found["template_hash"]),
        warnings=[str(line) for line in found["warnings"]],
        **counts,
    )
