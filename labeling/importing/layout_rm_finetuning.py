"""Reward-Model-Finetuning: one list of messages, whose last one holds both answers."""

from collections.abc import Mapping
from typing import Any

from labeling.importing import fields
from labeling.importing.instructions import with_system
from labeling.importing.layout import Layout, Parsed
from labeling.importing.layout_pairs import PAIR_KEYS, pair_of
from labeling.importing.problems import ProblemError

VALUES = ("chosen_value", "rejected_value")


def _last_holds_both(row: Mapping[str, Any]) -> Parsed:
    *earlier, last = fields.items(row["messages"], "messages")
    path = "messages[-1]"
    answer = fields.mapping(last, path)
    if fields.role(answer.get("role"), f"{path}.role") != "assistant":
        raise ProblemError("not_one_answer", path=path, found=[answer["role"]])
    prompt = fields.prompt(earlier, "messages")
    paths = (f"{path}.{VALUES[0]}", f"{path}.{VALUES[1]}")
    chosen, rejected = (fields.text(answer[key], where) for key, where in zip(VALUES, paths, strict=True))
    return pair_of(row, with_system(row, prompt), chosen, rejected, keys=paths)


RM_FINETUNING = Layout(
    name="rm_finetuning",
    required=("messages",),
    last_has=VALUES,
    optional=("system", *PAIR_KEYS),
    read=_last_holds_both,
)
