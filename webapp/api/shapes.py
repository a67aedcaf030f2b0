"""What a JSON Schema says of a value, as the reference shows it: kind, limits in words, fields, an example."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

Schema = dict[str, Any]
# What a form of a text is called; of the rest (int64, double) a reader of JSON needs no word.
FORMATS = {"uuid", "date-time", "date", "uri", "email", "binary"}
EXAMPLES = {
    "uuid": "6f1c2a9e-3b7d-4c58-9a41-d2e07b5c8f13",
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "uri": "https://example.org/",
    "email": "somebody@example.org",
    "string": "…",
    "boolean": True,
    "integer": 1,
    "number": 0.5,
}
# Above it stands what a column of the database holds, which is no limit that anybody meets.
LARGEST = 2**53
# The labels of choices, which the generator puts behind a description.
_CHOICES = re.compile(r"(?:^|\n\n)\* `.*", re.DOTALL)
_WRAPPED = re.compile(r"(?<!\n)\n(?![\n*-])")


@dataclass(frozen=True)
class Shape:
    """A parameter, a body, or one of its fields. `kind` is as in `string (uuid)[]`; `place` a parameter's alone."""

    name: str
    kind: str
    text: str
    limits: tuple[str, ...]
    choices: tuple[str, ...]
    example: Any
    fields: tuple[Shape, ...] = ()
    is_required: bool = False
    place: str = ""

    def names(self) -> Iterator[str]:
        """Of itself and of all that it holds."""
        yield self.name
        for field in self.fields:
            yield from field.names()


def prose(text: str) -> str:
    """A description without the labels of choices; its lines were wrapped for the source."""
    return _WRAPPED.sub(" ", _CHOICES.sub("", text)).strip()


class Shapes:
    """Reads schemas that refer to `components`."""

    def __init__(self, components: dict[str, Schema]) -> None:
        self.components = components

    def shape(
        self,
        schema: Schema,
        name: str = "",
        *,
        is_required: bool = False,
        place: str = "",
        within: frozenset[str] = frozenset(),
    ) -> Shape:
        """`within`: the components around it. One within itself is told once."""
        flat, within = self._flat(schema, within)
        item, inner = self._flat(_held(flat), within)
        kind, fields = self._kind(flat, within)
        limits = _limits(flat) + [_("each %(limit)s") % {"limit": limit} for limit in _limits(item)]
        chosen = flat.get("enum") or item.get("enum") or ()
        return Shape(
            name=name,
            kind=kind,
            text=prose(str(flat.get("description", ""))),
            limits=tuple(limits),
            choices=tuple(str(choice) for choice in chosen if choice not in ("", None)),
            example=self._example(flat, fields, inner),
            fields=fields,
            is_required=is_required,
            place=place,
        )

    def _flat(self, schema: Schema, within: frozenset[str]) -> tuple[Schema, frozenset[str]]:
        """With what it refers to and what it combines put into one."""
        parts = [*schema.get("allOf", ()), *schema.get("oneOf", ())]
        if reference := schema.get("$ref"):
            name = reference.rsplit("/", 1)[-1]
            if name in within:
                return {"type": "object"}, within
            within |= {name}
            parts.append(self.components[name])
        found: Schema = {}
        for part in parts:
            flat, within = self._flat(part, within)
            if flat.get("enum") == [None]:
                found["nullable"] = True
            elif flat.get("enum") != [""] and flat.get("maxLength") != 0:
                found |= flat
        combined = ("allOf", "oneOf", "$ref")
        return found | {key: value for key, value in schema.items() if key not in combined}, within

    def _kind(self, flat: Schema, within: frozenset[str]) -> tuple[str, tuple[Shape, ...]]:
        kind = flat.get("type", "any")
        fields: tuple[Shape, ...] = ()
        if kind == "array":
            inner, fields = self._kind(*self._flat(_held(flat), within))
            kind = f"({inner})[]" if " | " in inner else f"{inner}[]"
        elif properties := flat.get("properties"):
            kind, needed = "object", flat.get("required", ())
            fields = tuple(
                self.shape(schema, name, is_required=name in needed, within=within)
                for name, schema in properties.items()
            )
        elif _held(flat):
            inner, fields = self._kind(*self._flat(_held(flat), within))
            kind = f"{{key: {inner}}}"
        elif flat.get("format") in FORMATS:
            kind = f"{kind} ({flat['format']})"
        return f"{kind} | null" if flat.get("nullable") else kind, fields

    def _example(self, flat: Schema, fields: tuple[Shape, ...], within: frozenset[str]) -> Any:
        """Something that fits: of an object what is required."""
        kind = flat.get("type")
        if flat.get("default") not in (None, "", [], {}):
            return flat["default"]
        if chosen := [choice for choice in flat.get("enum", ()) if choice not in ("", None)]:
            return chosen[0]
        if kind == "array":
            item, within = self._flat(_held(flat), within)
            return [self._example(item, fields, within)]
        if fields:
            return {field.name: field.example for field in fields if field.is_required}
        if kind in ("integer", "number") and flat.get("minimum"):
            return flat["minimum"]
        return EXAMPLES.get(flat.get("format", ""), EXAMPLES.get(kind or "", {}))


def _held(flat: Schema) -> Schema:
    """What each entry of a list, or each value of an object without fixed names, is."""
    more = flat.get("items", flat.get("additionalProperties"))
    return more if isinstance(more, dict) else {}


def _limits(flat: Schema) -> list[str]:
    """What a value must keep to, in words."""
    least, most = _number(flat.get("minimum")), _number(flat.get("maximum"))
    found = []
    if least and most:
        found.append(_("%(least)s to %(most)s") % {"least": least, "most": most})
    elif least:
        found.append(_("at least %(least)s") % {"least": least})
    elif most:
        found.append(_("at most %(most)s") % {"most": most})
    sizes = (
        ("minLength", _("at least %(n)s characters")),
        ("maxLength", _("at most %(n)s characters")),
        ("minItems", _("at least %(n)s entries")),
        ("maxItems", _("at most %(n)s entries")),
    )
    for key, words in sizes:
        if key == "minLength" and flat.get(key) == 1:
            found.append(_("not empty"))
        elif flat.get(key):
            found.append(words % {"n": _number(flat[key])})
    if flat.get("default") not in (None, ""):
        value = json.dumps(flat["default"], ensure_ascii=False, default=str)
        found.append(_("%(value)s if left out") % {"value": value})
    return found


def _number(value: float | None) -> str:
    """Short, and nothing where there is no limit that anybody meets."""
    if value is None or abs(value) > LARGEST:
        return ""
    return f"{int(value):,}" if value == int(value) else str(value)
