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
        "aspect_votes",
        "explanations",
        "chosen_messages",
        "rejected_messages",
        "metadata",
    }
)
# Columns that hold a text, or messages written as JSON.
TEXTS_OR_MESSAGES = frozenset({"prompt", "chosen", "rejected", "completion", "rejected_response"})
NUMBERS = frozenset({"margin", "score_chosen", "score_rejected", "num_correct"})
NULLABLE = LISTS | NUMBERS | {"gold", "label", "kto_tag"}


def cell_value(name: str, text: str, names: Collection[str]) -> Any:
    """The value of a cell in a row that has these columns. What cannot be read stays the text that it is."""
    if text == "" and (name in NULLABLE or name.startswith("annotator")):
        return None
    if name in NUMBERS:
        return cell_number(text)
    is_list = name in LISTS or (name in ("chosen", "rejected") and "num_correct" in names)
    if is_list:
        return _parsed(text)
    return messages_or_text(text) if name in TEXTS_OR_MESSAGES else text


def cell_number(value: Any) -> Any:
    """The number that a text is; anything else as it is."""
    found = _loaded(value.strip()) if isinstance(value, str) else None
    return found if isinstance(found, int | float) and not isinstance(found, bool) else value


def messages_or_text(value: Any) -> Any:
    """The messages that a text holds as JSON; anything else, also a text that happens to be JSON, as it is."""
    found = _parsed(value) if isinstance(value, str) else value
    return found if _is_messages(found) else value


def _parsed(text: str) -> Any:
    """The list or object that a text is in JSON, else the text."""
    found = _loaded(text) if text.lstrip()[:1] in ("[", "{") else None
    return text if found is None else found


def _loaded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _is_messages(value: object) -> bool:
    found = value if isinstance(value, list) else [value]
    return bool(found) and all(isinstance(one, dict) and ("role" in one or "from" in one) for one in found)
