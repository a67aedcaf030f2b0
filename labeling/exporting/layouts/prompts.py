"""Layouts with one row for each prompt: all its responses in order, or the best against the others.

A prompt's comparisons are a graph: an arrow from each winner to each loser. What cannot be told from it is not
written: a circle (`not_transitive`), or responses that nobody held against each other (`incomplete_ranking`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
from django.utils.translation import gettext_lazy as _

from labeling.exporting.layouts.base import (
    HISTORY,
    NEEDS_MESSAGE_LISTS,
    NOT_ALTERNATING,
    TEXTS,
    Layout,
    Output,
    exchange,
    single_turn,
    strings,
)
from labeling.snapshots.rows import SnapshotRow

if TYPE_CHECKING:
    from labeling.exporting.options import ExportOptions

NOT_TRANSITIVE = "not_transitive"
INCOMPLETE = "incomplete_ranking"
EQUAL_TEXTS = "equal_texts"


class Decided(NamedTuple):
    """A row and its chosen side."""

    row: SnapshotRow
    side: str


class Answer(NamedTuple):
    text: str
    model: str


Beaten = dict[int, set[int]]


def _read(rows: list[Decided]) -> tuple[dict[int, Answer], Beaten]:
    """The responses by id, in order of appearance, and whom each of them beats."""
    answers: dict[int, Answer] = {}
    for row, _side in rows:
        answers.setdefault(row.response_a_id, Answer(row.response_a, row.model_a))
        answers.setdefault(row.response_b_id, Answer(row.response_b, row.model_b))
    beaten: Beaten = {response: set() for response in answers}
    for row, side in rows:
        both = (row.response_a_id, row.response_b_id)
        winner, loser = both if side == "a" else both[::-1]
        beaten[winner].add(loser)
    return answers, beaten


def _unbeaten(responses: list[int], beaten: Beaten) -> list[int]:
    return [response for response in responses if not any(response in beaten[other] for other in responses)]


def order_of(beaten: Beaten) -> list[int] | str:
    """The responses best to worst where the graph allows one order only, else why not."""
    order: list[int] = []
    left = list(beaten)
    while left:
        best = _unbeaten(left, beaten)
        if len(best) != 1:
            return INCOMPLETE if best else NOT_TRANSITIVE
        order += best
        left.remove(best[0])
    return order


def best_of(beaten: Beaten) -> tuple[list[int], list[int]] | str:
    """The unbeaten responses and the others, where each of the first beat each of the second, else why not."""
    best = _unbeaten(list(beaten), beaten)
    if not best:
        return NOT_TRANSITIVE
    others = [response for response in beaten if response not in best]
    if any(loser not in beaten[winner] for winner in best for loser in others):
        return INCOMPLETE
    return best, others


def ranked(rows: list[Decided], _options: ExportOptions) -> Output:
    answers, beaten = _read(rows)
    found = exchange(rows[0].row.messages)
    order = order_of(beaten)
    if found is None or isinstance(order, str):
        return NOT_ALTERNATING if found is None else str(order)
    texts = [answers[response].text for response in order]
    if len(set(texts)) < len(texts):
        return EQUAL_TEXTS
    return [
        {
            "instruction": found.question,
            "input": "",
            "system": found.system,
            "history": found.history,
            "output": texts,
        }
    ]


def rewardbench2(rows: list[Decided], _options: ExportOptions) -> Output:
    """The topic is the subset; `models` has those of the chosen, then of the rejected."""
    answers, beaten = _read(rows)
    first = rows[0].row
    prompt, found = single_turn(first.messages), best_of(beaten)
    if prompt is None or isinstance(found, str):
        return NEEDS_MESSAGE_LISTS if prompt is None else str(found)
    best, others = found
    return [
        {
            "id": str(first.prompt_id),
            "prompt": prompt,
            "chosen": [answers[response].text for response in best],
            "rejected": [answers[response].text for response in others],
            "num_correct": len(best),
            "num_incorrect": len(others),
            "total_completions": len(best) + len(others),
            "models": [answers[response].model for response in (*best, *others)],
            "subset": first.topic,
        }
    ]


PROMPT_LAYOUTS = (
    Layout(
        "ranked",
        _("Ranked lists: instruction, input, system, history, output from best to worst"),
        ranked,
        (*strings("instruction", "input", "system"), ("history", HISTORY), ("output", TEXTS)),
        kind="prompts",
    ),
    Layout(
        "rewardbench2",
        _("RewardBench 2: prompt, chosen and rejected as lists, num_correct, subset"),
        rewardbench2,
        (
            *strings("id", "prompt"),
            ("chosen", TEXTS),
            ("rejected", TEXTS),
            *((name, pa.int64()) for name in ("num_correct", "num_incorrect", "total_completions")),
            ("models", TEXTS),
            *strings("subset"),
        ),
        kind="prompts",
        reads=("model_a", "model_b", "topic"),
    ),
)
