"""What a cell of a table means: a text, unless its column is one that layouts read as something else."""

from collections.abc import Collection
from typing import Any

import orjson

LISTS = frozenset(
    {
        "messages",
        "conversations",
        "history",
        "responses",
        "output",
        "votes",
        "annotators",
        "chosen_messages",
        "rejected_messages",
        "metadata",
    }
)
# Columns that hold a text, or messages written as JSON.
TEXTS_OR_MESSAGES = frozenset({"prompt", "chosen", "rejected", "completion", "rejected_response"})
NUMBERS = frozenset({"margin", "score_chosen", "score_rejected", "num_correct"})
NULLABLE = LISTS | NUMBERS | {"gold", "label", "kto_tag"}
# Our CSV export puts a ' before what a spreadsheet would take for a formula.
FORMULA_STARTS = ("'=", "'+", "'-", "'@", "'\t", "'\r", "'\n")


def cell_value(name: str, text: str, names: Collection[str]) -> Any:
    """The value of a cell in a row that has these columns. What cannot be read stays the text that it is."""
    if text.startswith(FORMULA_STARTS):
        text = text[1:]
    if text == "" and (name in NULLABLE or name.startswith("annotator")):
        return None
    if name in NUMBERS:
        return _number(text)
    is_list = name in LISTS or (name in ("chosen", "rejected") and "num_correct" in names)
    if not (is_list or name in TEXTS_OR_MESSAGES) or text.lstrip()[:1] not in ("[", "{"):
        return text
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return value if is_list or _is_messages(value) else text


def _number(text: str) -> float | int | str:
    try:
        value = orjson.loads(text.strip())
    except orjson.JSONDecodeError:
        return text
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text


def _is_messages(value: object) -> bool:
    """Whether it is messages, and not a text that happens to be JSON."""
    found = value if isinstance(value, list) else [value]
    return bool(found) and all(isinstance(one, dict) and ("role" in one or "from" in one) for one in found)
