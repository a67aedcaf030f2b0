"""The first rows of a file as they stand in it, cut to what a page can show, and what their keys may mean."""

from itertools import islice
from typing import Any, BinaryIO

import orjson

from labeling.importing.containers import read_rows
from labeling.importing.mapping import USUAL_VALUES, value_word
from labeling.importing.reader import Row

SAMPLE_ROWS = 20
SAMPLE_BYTES = 200_000
TEXT_SHOWN = 1200
ITEMS_SHOWN = 20
KEYS_SHOWN = 60
LOOKED_AT = 60
VALUES_SHOWN = 12
# What files call the things that a mapping asks for.
USUAL_KEYS: dict[str, tuple[str, ...]] = {
    "prompt": (
        "prompt",
        "question",
        "instruction",
        "query",
        "input",
        "context_messages",
        "问题",
        "提问",
        "提示",
    ),
    "system": ("system", "system_prompt"),
    "chosen": ("chosen", "preferred", "better", "accepted", "positive", "good"),
    "rejected": ("rejected", "dispreferred", "worse", "negative", "bad"),
    "response_a": (
        "response_a",
        "answer_a",
        "output_a",
        "conversation_a",
        "response_1",
        "answer_1",
        "output_1",
    ),
    "response_b": (
        "response_b",
        "answer_b",
        "output_b",
        "conversation_b",
        "response_2",
        "answer_2",
        "output_2",
    ),
    "winner": ("winner", "preference", "label", "choice", "vote", "verdict"),
    "strength": ("strength", "margin", "degree", "confidence"),
    "annotator": ("annotator", "labeler", "judge", "worker", "worker_id", "annotator_id", "user"),
    "rationale": ("rationale", "reason", "explanation", "comment", "justification"),
    "model_a": ("model_a", "model_1", "chosen_model"),
    "model_b": ("model_b", "model_2", "rejected_model"),
    "id": ("id", "uid", "question_id", "row_id"),
    "group": ("group", "split_group"),
    "language": ("language", "lang"),
    "topic": ("topic", "category", "subset", "domain"),
}


def sample_rows(handle: BinaryIO) -> list[dict[str, Any]]:
    """At most 20 rows and 200 kB of them."""
    found: list[dict[str, Any]] = []
    size = 0
    for event in islice(read_rows(handle), LOOKED_AT):
        if not isinstance(event, Row):
            continue
        row = {str(key)[:200]: _cut(value) for key, value in islice(event.data.items(), KEYS_SHOWN)}
        size += len(orjson.dumps(row))
        if len(found) == SAMPLE_ROWS or size > SAMPLE_BYTES:
            break
        found.append(row)
    return found


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value[:TEXT_SHOWN]
    if isinstance(value, list):
        return [_cut(one) for one in value[:ITEMS_SHOWN]]
    if isinstance(value, dict):
        return {str(key)[:200]: _cut(one) for key, one in islice(value.items(), ITEMS_SHOWN)}
    return value


def sample_keys(sample: list[dict[str, Any]]) -> list[str]:
    """The keys of the rows, in the order in which they first stand there."""
    return list(dict.fromkeys(key for row in sample for key in row))


def guessed_columns(keys: list[str]) -> dict[str, str]:
    """What the keys seem to be, by their names: a key for some of the targets of a mapping."""
    known = {_simple(key): key for key in reversed(keys)}
    found: dict[str, str] = {}
    for target, names in USUAL_KEYS.items():
        key = next((known[_simple(name)] for name in names if _simple(name) in known), None)
        if key is not None and key not in found.values():
            found[target] = key
    chosen, compared = {"chosen", "rejected"}, {"response_a", "response_b", "winner"}
    spare = compared if chosen <= found.keys() else chosen
    return {target: key for target, key in found.items() if target not in spare}


def _simple(key: str) -> str:
    return "".join(letter for letter in key.lower() if letter.isalnum())


def guessed_values(sample: list[dict[str, Any]], key: str) -> dict[str, list[str]]:
    """What the winner's key says for each outcome: the usual words that these rows have, else all usual ones."""
    seen = seen_values(sample, key)
    return {
        outcome: [word for word in words if word in seen] or list(words)
        for outcome, words in USUAL_VALUES.items()
    }


def seen_values(sample: list[dict[str, Any]], key: str) -> list[str]:
    """The different values of a key in these rows, as a mapping writes them; none where they are long."""
    words = dict.fromkeys(value_word(row.get(key)) for row in sample)
    return [word for word in words if 0 < len(word) <= 40][:VALUES_SHOWN]
