"""The reference of REST: every operation of the OpenAPI schema, by subject, as the pages under /api/docs show it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from django.utils import translation

from webapp.api.curl import curl_of
from webapp.api.schema import kept_schema
from webapp.api.shapes import Schema, Shape, Shapes, prose
from webapp.api.subjects import SUBJECTS

_FIRST_SENTENCE = re.compile(r"(?<=[.;:])\s+(?=\S)|\n")


@dataclass(frozen=True)
class Body:
    """What is sent or comes back. `status` is a reply's alone; `whole` is None where nothing is in it."""

    media: tuple[str, ...]
    text: str
    whole: Shape | None
    status: str = ""

    @property
    def is_other(self) -> bool:
        """Whether it is not JSON."""
        return bool(self.media) and "application/json" not in self.media

    @property
    def is_file(self) -> bool:
        return self.whole is not None and "binary" in self.whole.kind


@dataclass(frozen=True)
class Operation:
    """`text` is markdown; `curl` is what stands before the site's address in an example call, and behind it."""

    id: str
    subject: str
    method: str
    path: str
    text: str
    scope: str
    parameters: tuple[Shape, ...]
    request: Body | None
    replies: tuple[Body, ...]

    @property
    def short_path(self) -> str:
        """Without `stem`, what many begin with."""
        return self.path.removeprefix(self.stem)

    @property
    def stem(self) -> str:
        inside = "/api/v1/projects/{slug}/"
        return inside if self.path.startswith(inside) else "/api/v1/"

    @cached_property
    def summary(self) -> str:
        return _FIRST_SENTENCE.split(self.text, maxsplit=1)[0].replace("`", "").rstrip(".:;")

    @cached_property
    def words(self) -> str:
        """All that a search looks through, in lower case."""
        bodies = [body.whole for body in (self.request, *self.replies) if body and body.whole]
        names = [name for shape in (*self.parameters, *bodies) for name in shape.names()]
        return " ".join([self.id, self.method, self.path, self.text, self.scope, *names]).lower()

    @cached_property
    def curl(self) -> tuple[str, str]:
        return curl_of(self)


@dataclass(frozen=True)
class Chapter:
    key: str
    title: str
    operations: tuple[Operation, ...]


@cache
def reference(language: str) -> tuple[Chapter, ...]:
    """All chapters; a subject of which there is no operation has none."""
    schema = kept_schema(language)
    with translation.override(language):
        read = _Reader(schema["components"].get("schemas", {}))
        found = [
            read.operation(path, method, said)
            for path, methods in schema["paths"].items()
            for method, said in methods.items()
        ]
        chapters = [
            Chapter(one.key, str(one.title), tuple(row for row in found if row.subject == one.key))
            for one in SUBJECTS
        ]
    return tuple(chapter for chapter in chapters if chapter.operations)


def found_in(chapters: tuple[Chapter, ...], query: str) -> list[Chapter]:
    """What has all words of the query, in its address, its text or the names of its fields."""
    words = query.lower().split()
    found = [
        Chapter(
            chapter.key,
            chapter.title,
            tuple(
                row
                for row in chapter.operations
                if all(word in row.words or word in chapter.title.lower() for word in words)
            ),
        )
        for chapter in chapters
    ]
    return [chapter for chapter in found if chapter.operations]


class _Reader:
    def __init__(self, components: dict[str, Schema]) -> None:
        self.shapes = Shapes(components)

    def operation(self, path: str, method: str, said: dict[str, Any]) -> Operation:
        return Operation(
            id=said["operationId"],
            subject=said["tags"][0],
            method=method.upper(),
            path=path,
            text=prose(said.get("description", "")),
            scope=said["x-scope"],
            parameters=tuple(self._parameter(one) for one in said.get("parameters", ())),
            request=self._body(said["requestBody"]) if "requestBody" in said else None,
            replies=tuple(self._body(body, status) for status, body in said["responses"].items()),
        )

    def _parameter(self, said: dict[str, Any]) -> Shape:
        schema = said["schema"]
        if said["in"] == "path":  # its form follows from its kind
            schema = {key: value for key, value in schema.items() if key in ("type", "format")}
        elif text := said.get("description"):
            schema = schema | {"description": text}
        return self.shapes.shape(
            schema, said["name"], is_required=said.get("required", False), place=said["in"]
        )

    def _body(self, said: dict[str, Any], status: str = "") -> Body:
        """Of several media types with one form, that form; JSON's where they differ."""
        content = said.get("content", {})
        media = tuple(content)
        whole = None
        if content:
            first = content.get("application/json") or next(iter(content.values()))
            whole = self.shapes.shape(first.get("schema", {}))
        return Body(media=media, text=prose(said.get("description", "")), whole=whole, status=status)
