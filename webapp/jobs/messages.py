"""Sentences that are stored in no language: the English message id and its values, put into words when read.

A job is made by one person and read by another, and its worker has no reader at all. So what it says is kept
as a `Message`, and `str()` of one is the sentence in the active language:

    message(gettext_noop("Import %(file)s"), file=name)

`gettext_noop` marks the id for `make messages`. A column that holds either a message or plain text (tracebacks,
names, rows from before) is a `MessageField`; plain text is stored as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.utils.translation import gettext

from webapp.jobs.json_values import json_safe

# How the stored form of a message begins. Plain text that begins like this is wrapped in a message.
MARK = '{"msgid": '


@dataclass(frozen=True)
class Message:
    """A message id and the values of its `%(name)s` places: numbers, strings, or further messages."""

    msgid: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.params:
            return gettext(self.msgid)
        try:
            return gettext(self.msgid) % self.params
        except (KeyError, TypeError, ValueError):  # a row of another version of the app
            return self.msgid

    def as_json(self) -> dict[str, Any]:
        params = {
            key: value.as_json() if isinstance(value, Message) else value
            for key, value in self.params.items()
        }
        return {"msgid": self.msgid, "params": json_safe(params)}


Text = str | Message


def message(msgid: str, **params: Any) -> Message:
    """A message; values that are neither numbers nor messages are kept as the strings that they are shown as."""
    return Message(
        msgid, {key: v if isinstance(v, int | float | Message) else str(v) for key, v in params.items()}
    )


def said_by(error: BaseException) -> Text:
    """What an error says: its message if it carries one, else its text, else the name of its class."""
    said = error.args[0] if len(error.args) == 1 else None
    return said if isinstance(said, Message) else str(error) or type(error).__name__


def cut(text: Text, length: int) -> Text:
    """The text with at most so many characters; of a message, each of its values."""
    if isinstance(text, str):
        return text[:length]
    return Message(
        text.msgid,
        {key: cut(v, length) if isinstance(v, str | Message) else v for key, v in text.params.items()},
    )


def encode(text: Text) -> str:
    """The stored form, without the NULs that PostgreSQL refuses."""
    if isinstance(text, Message):
        return json.dumps(text.as_json(), ensure_ascii=False)
    return encode(Message("%(text)s", {"text": text})) if text.startswith(MARK) else text.replace("\x00", "")


def decode(stored: str) -> Text:
    """What `encode` stored, or plain text as it stands."""
    if not stored.startswith(MARK):
        return stored
    try:
        return _from_json(json.loads(stored))
    except (ValueError, KeyError, TypeError, AttributeError):
        return stored


def _from_json(value: dict[str, Any]) -> Message:
    params = {
        key: _from_json(item) if isinstance(item, dict) else item for key, item in value["params"].items()
    }
    return Message(str(value["msgid"]), params)


class MessageField(models.TextField):
    """Text in the database, a `Message` or a plain string in Python; `str()` of either is what people read."""

    # For the type checker alone: what may be assigned, and what is read.
    _pyi_private_set_type: Text  # type: ignore[assignment]
    _pyi_private_get_type: Text  # type: ignore[assignment]

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> Text | None:
        return None if value is None else decode(value)

    def to_python(self, value: Any) -> Any:
        return decode(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        return encode(value) if isinstance(value, str | Message) else super().get_prep_value(value)

    def value_to_string(self, obj: models.Model) -> str:
        value: Text = self.value_from_object(obj)  # type: ignore[assignment]
        return encode(value)
