"""Pairs and texts for tests of the reward library."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

from tests.shared_data import shared_file
from workers.reward import Item, Message, Pair

ROOT = Path(__file__).resolve().parents[3]
ARGUMENTS = "convincing-arguments/pairs.jsonl.gz"

GOOD = [
    "because",
    "the",
    "evidence",
    "clearly",
    "shows",
    "careful",
    "reasons",
    "and",
    "therefore",
    "supports",
]
BAD = ["lol", "dunno", "whatever", "stupid", "boring", "nope", "meh", "idk", "ugh"]
FILLER = ["the", "people", "school", "water", "country", "law", "money", "health", "house", "time"]


def prompt(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def sentence(words: list[str], rng: random.Random, length: int = 8) -> str:
    return " ".join(rng.choice(words if rng.random() < 0.5 else FILLER) for _ in range(length))


def planted_pairs(
    n: int, *, seed: int = 0, groups: int = 8, validation: float = 0.0, **fields: object
) -> list[Pair]:
    """Pairs whose chosen side uses other words than its rejected side, at equal lengths."""
    rng = random.Random(seed)
    out = []
    for i in range(n):
        group = i % groups
        split = "validation" if group < validation * groups else "train"
        out.append(
            Pair(
                f"p{i}",
                prompt(f"Question {group}?"),
                sentence(GOOD, rng),
                sentence(BAD, rng),
                group=f"g{group}",
                split=split,
                **fields,
            )
        )
    return out


def items(texts: list[str], question: str = "Question?") -> list[Item]:
    return [Item(str(i), prompt(question), text) for i, text in enumerate(texts)]


def argument_rows() -> list[dict[str, str]]:
    """The convincing-arguments pairs, or a skip that says where they should lie."""
    with gzip.open(shared_file(ARGUMENTS), "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def argument_pairs(test: set[str], validation: set[str]) -> list[Pair]:
    def split(debate: str) -> str:
        return "test" if debate in test else "validation" if debate in validation else "train"

    return [
        Pair(
            r["id"],
            prompt(r["prompt"]),
            r["chosen"],
            r["rejected"],
            group=r["debate"],
            split=split(r["debate"]),
        )
        for r in argument_rows()
    ]
