"""Checks of settings, shared by what is trained and by scorers that are given."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from .errors import ConfigError


def require(condition: bool, message: str, setting: str) -> None:
    """Raises ``ConfigError`` with the message, at the setting, unless the condition holds."""
    if not condition:
        raise ConfigError(message, setting)


def check_limits(kind: str, values: object, limits: Mapping[str, tuple[float, float]]) -> None:
    """Raises ConfigError with the kind, the setting, its allowed range and what was given; NaN is in no range."""
    for name, (low, high) in limits.items():
        value = getattr(values, name)
        require(low <= value <= high, f"{kind}: {name} must lie in {low:,}..{high:,}, got {value!r}", name)


def matches(value: object, hint: Any) -> bool:
    """Whether a value is of a type hint: a class, a union, a literal or a tuple of one type. True is no number."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return value in typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(matches(value, part) for part in typing.get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(matches(v, typing.get_args(hint)[0]) for v in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)
