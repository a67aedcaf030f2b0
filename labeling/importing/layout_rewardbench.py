"""RewardBench: pairs with the subset that they belong to, and its second edition's lists of responses."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labeling.importing import fields
from labeling.importing.layout import Layout, Parsed
from labeling.importing.layout_lists import MAX_RESPONSES, answers
from labeling.importing.layout_pairs import EXPLICIT, PAIR_KEYS, SIDES
from labeling.importing.problems import ProblemError
from labeling.importing.records import ImportedResponse, ImportedVote


def _pairs(row: Mapping[str, Any]) -> Parsed:
    """A pair like any other; its subset is the topic."""
    return _with_subset(row, EXPLICIT.read(row))


def _lists(row: Mapping[str, Any]) -> Parsed:
    """Every chosen response beats every rejected one; two of a kind are not compared."""
    prompt = fields.prompt(row["prompt"], "prompt")
    chosen, rejected = (_texts(row, key) for key in SIDES)
    if len(chosen) + len(rejected) > MAX_RESPONSES:
        count = len(chosen) + len(rejected)
        raise ProblemError("response_count", path="rejected", found=count, limit=MAX_RESPONSES)
    votes = tuple(
        ImportedVote(first, len(chosen) + second, "a")
        for first, winner in enumerate(chosen)
        for second, loser in enumerate(rejected)
        if winner != loser
    )
    if not votes:
        raise ProblemError("identical_responses", paths=list(SIDES))
    model = fields.label(row, "model")
    responses = tuple(ImportedResponse(text, model) for text in (*chosen, *rejected))
    return _with_subset(row, Parsed(prompt, responses, votes, kept=("num_correct",)))


def _texts(row: Mapping[str, Any], key: str) -> list[str]:
    """The different texts of a list, in its order."""
    values = answers(row, key)
    return list(dict.fromkeys(fields.text(item, f"{key}[{index}]") for index, item in enumerate(values)))


def _with_subset(row: Mapping[str, Any], parsed: Parsed) -> Parsed:
    return replace(parsed, topic=fields.label(row, "subset"), kept=(*parsed.kept, "subset"))


REWARDBENCH = Layout(
    name="rewardbench",
    required=("prompt", *SIDES, "subset", "id"),
    optional=PAIR_KEYS,
    read=_pairs,
)
REWARDBENCH2 = Layout(
    name="rewardbench2",
    required=("prompt", *SIDES, "num_correct", "subset"),
    optional=("model",),
    read=_lists,
)
