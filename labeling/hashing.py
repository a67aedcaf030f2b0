"""Content hashes: what makes an import idempotent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import orjson


def _digest(value: object) -> str:
    # Lone surrogates have no UTF-8 form; they are kept apart from U+FFFD by their escape.
    try:
        raw = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raw = repr(value).encode("utf-8", "backslashreplace")
    return hashlib.sha256(raw).hexdigest()


def prompt_hash(messages: Sequence[Mapping[str, str]]) -> str:
    """Hash of a prompt's messages: roles and contents alone."""
    return _digest([[message["role"], message["content"]] for message in messages])


def response_hash(text: str, model_name: str = "") -> str:
    """Hash of a response under its prompt. The same text by two models is two responses."""
    return _digest([text, model_name])
