"""Loaders of the demo's sample and of the truth that only simulated labelers may see.

`sample.jsonl` is in the plain layout "prompt + list of responses" that the importer reads. `truth.jsonl`
holds, for each prompt by id, one quality (0–10) and one flaw for each response, in the sample's order; it is
never imported. Both files are small (about 120 kB), so they are read whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
SAMPLE_PATH = FOLDER / "sample.jsonl"
TRUTH_PATH = FOLDER / "truth.jsonl"

LANGUAGES = ("en", "zh")
TOPICS = ("helpfulness", "safety", "maths", "code", "multi-turn")
MODELS = ("larch-7b", "larch-7b-v2", "ginkgo-13b", "pocket-1b")
QUALITY_MAX = 10.0
NO_FLAW = "none"


class SampleError(ValueError):
    """The sample and its truth do not fit each other, or a row is malformed."""


@dataclass(frozen=True)
class SampleResponse:
    text: str
    model: str


@dataclass(frozen=True)
class SamplePrompt:
    """One line of the sample: messages (role, content), its facts, and two to four responses."""

    id: str
    messages: tuple[tuple[str, str], ...]
    language: str
    topic: str
    group: str
    responses: tuple[SampleResponse, ...]


@dataclass(frozen=True)
class Truth:
    """What we planted in one response: quality from 0 to 10, and a flaw of `labeling.demo.scheme.FLAWS`."""

    quality: float
    flaw: str


@dataclass(frozen=True)
class Pair:
    """Two responses of one prompt by index (first < second), each with its truth."""

    prompt: SamplePrompt
    first: int
    second: int
    truth_first: Truth
    truth_second: Truth

    @property
    def lengths(self) -> tuple[int, int]:
        """Characters of both responses."""
        responses = self.prompt.responses
        return len(responses[self.first].text), len(responses[self.second].text)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def load_sample(path: Path = SAMPLE_PATH) -> tuple[SamplePrompt, ...]:
    """Every prompt of the sample, in the file's order."""
    return tuple(
        SamplePrompt(
            id=row["id"],
            messages=tuple((message["role"], message["content"]) for message in row["messages"]),
            language=row["language"],
            topic=row["topic"],
            group=row["group"],
            responses=tuple(SampleResponse(answer["text"], answer["model"]) for answer in row["responses"]),
        )
        for row in _rows(path)
    )


def load_truth(path: Path = TRUTH_PATH) -> dict[str, tuple[Truth, ...]]:
    """Truths by prompt id, in the order of the prompt's responses. Raises SampleError on uneven lists."""
    found: dict[str, tuple[Truth, ...]] = {}
    for row in _rows(path):
        if len(row["quality"]) != len(row["flaw"]):
            raise SampleError(f"{row['id']}: {len(row['quality'])} qualities but {len(row['flaw'])} flaws")
        found[row["id"]] = tuple(map(Truth, map(float, row["quality"]), row["flaw"]))
    return found


def truth_by_text() -> dict[str, Truth]:
    """Truths by the response's text (no two responses of the sample share one): how an imported response,
    which has lost the sample's order, is found again. Raises SampleError where sample and truth differ.
    """
    truth = load_truth()
    found: dict[str, Truth] = {}
    for prompt in load_sample():
        planted = truth.get(prompt.id, ())
        if len(planted) != len(prompt.responses):
            raise SampleError(f"{prompt.id}: {len(prompt.responses)} responses but {len(planted)} truths")
        found.update(zip((response.text for response in prompt.responses), planted, strict=True))
    return found


def pairs() -> Iterator[Pair]:
    """Every pair of responses within each prompt, with the truths of both."""
    truth = load_truth()
    for prompt in load_sample():
        planted = truth[prompt.id]
        for first, second in combinations(range(len(prompt.responses)), 2):
            yield Pair(prompt, first, second, planted[first], planted[second])


def longest_wins_rate() -> float:
    """Share of unequal pairs in which the longer response is truly the better; equal lengths count half."""
    hits, total = 0.0, 0
    for pair in pairs():
        better = pair.truth_first.quality - pair.truth_second.quality
        if better == 0:
            continue
        longer = pair.lengths[0] - pair.lengths[1]
        total += 1
        hits += 0.5 if longer == 0 else float((better > 0) == (longer > 0))
    return hits / total
