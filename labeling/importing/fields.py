"""Typed access to a row's values. A wrong type raises ProblemError("wrong_type") that names the key path."""

from collections.abc import Mapping
from typing import Any, NoReturn, cast

from labeling.importing.problems import ProblemError
from labeling.importing.reader import type_name
from labeling.importing.records import ImportedMessage, Role

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
# Most characters of the short facts that have a column of their own.
MAX_LABEL = {"language": 12, "topic": 120, "subset": 120, "annotator": 160, "labeler": 160}
MAX_LABEL_DEFAULT = 200
MAX_MODEL = 160


def wrong_type(path: str, expected: str, value: object) -> NoReturn:
    raise ProblemError("wrong_type", path=path, expected=expected, found=type_name(value))


def text(value: object, path: str) -> str:
    if not isinstance(value, str):
        wrong_type(path, "string", value)
    return value


def filled_text(value: object, path: str) -> str:
    """A text with something in it."""
    found = text(value, path)
    if not found.strip():
        raise ProblemError("empty_text", path=path)
    return found


def items(value: object, path: str) -> list[Any]:
    if not isinstance(value, list):
        wrong_type(path, "array", value)
    return value


def mapping(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        wrong_type(path, "object", value)
    return cast(dict[str, Any], value)


def number(value: object, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        wrong_type(path, "number", value)
    return float(value)


def flag(value: object, path: str) -> bool:
    """Yes or no: a boolean, 1 or 0, or one of these in letters."""
    known = {"true": True, "false": False, "1": True, "0": False}
    said = str(value).lower() if isinstance(value, bool | int | str) else ""
    if said not in known:
        wrong_type(path, "boolean", value)
    return known[said]


def label(row: Mapping[str, Any], key: str) -> str:
    """A short fact (id, language, topic …) given as text or number; '' when absent or null."""
    return short_text(
        row.get(key), key, MAX_MODEL if "model" in key else MAX_LABEL.get(key, MAX_LABEL_DEFAULT)
    )


def short_text(value: object, path: str, limit: int) -> str:
    """The same of a value that may stand under any key."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        wrong_type(path, "string", value)
    found = str(value)
    if len(found) > limit:
        raise ProblemError("label_too_long", path=path, limit=limit, found=len(found))
    return found


def messages(value: object, path: str) -> tuple[ImportedMessage, ...]:
    """A conversation: a list of {role, content} (or {from, value}) objects."""
    return tuple(message(item, f"{path}[{index}]") for index, item in enumerate(items(value, path)))


def message(value: object, path: str) -> ImportedMessage:
    """One {role, content} (or {from, value}) object."""
    found = mapping(value, path)
    role_key = "role" if "role" in found else "from"
    content_key = next((key for key in ("content", "value", "text") if key in found), "content")
    for key in (role_key, content_key):
        if key not in found:
            raise ProblemError("missing_key", path=f"{path}.{'role' if key == role_key else 'content'}")
    return ImportedMessage(
        role(found[role_key], f"{path}.{role_key}"), _content(found[content_key], f"{path}.{content_key}")
    )


def role(value: object, path: str) -> Role:
    """Our role of a name that files use for it."""
    name = text(value, path)
    if name not in ROLES:
        raise ProblemError("unknown_role", path=path, found=name[:40], expected=list(ROLES))
    return ROLES[name]


def _content(value: object, path: str) -> str:
    """Plain text, or a list of {"type": "text", "text" or "value": …} parts joined; other parts are
    refused.
    """
    if isinstance(value, str):
        return value
    parts = []
    for index, item in enumerate(items(value, path)):
        part_path = f"{path}[{index}]"
        part = mapping(item, part_path)
        if part.get("type", "text") != "text":
            raise ProblemError("not_text", path=part_path, found=str(part["type"])[:40])
        key = "text" if "text" in part else "value"
        parts.append(text(part.get(key), f"{part_path}.{key}"))
    return "".join(parts)


def prompt(value: object, path: str) -> tuple[ImportedMessage, ...]:
    """A prompt given as one text (a user's message) or as a conversation; never empty."""
    if isinstance(value, str):
        return (ImportedMessage("user", filled_text(value, path)),)
    if not isinstance(value, list):
        wrong_type(path, "string or array of messages", value)
    return filled_prompt(messages(value, path), path)


def filled_prompt(found: tuple[ImportedMessage, ...], path: str) -> tuple[ImportedMessage, ...]:
    """The same messages, of which one at least must say something."""
    if not any(message.content.strip() for message in found):
        raise ProblemError("empty_text", path=path)
    return found
