"""LLaMA-Factory's pairs: an instruction or a conversation, with a chosen and a rejected answer."""

from collections.abc import Mapping
from typing import Any

from labeling.importing import fields
from labeling.importing.instructions import INSTRUCTION_KEYS, instruction_prompt, with_system
from labeling.importing.layout import Layout, Parsed
from labeling.importing.layout_pairs import PAIR_KEYS, SIDES, completion, pair_of


def _alpaca(row: Mapping[str, Any]) -> Parsed:
    prompt = instruction_prompt(row)
    return pair_of(row, prompt, *(completion(row[key], key, prompt) for key in SIDES))


def _sharegpt(row: Mapping[str, Any]) -> Parsed:
    prompt = fields.prompt(row["conversations"], "conversations")
    chosen, rejected = (completion(row[key], key, prompt) for key in SIDES)
    return pair_of(row, with_system(row, prompt), chosen, rejected)


ALPACA_PAIRS = Layout(
    name="alpaca_pairs",
    required=("instruction", *SIDES),
    optional=(*INSTRUCTION_KEYS, *PAIR_KEYS),
    read=_alpaca,
)
SHAREGPT_PAIRS = Layout(
    name="sharegpt_pairs",
    required=("conversations", *SIDES),
    optional=("system", *PAIR_KEYS),
    read=_sharegpt,
)
