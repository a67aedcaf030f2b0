"""How REST is described: drf-spectacular's schema with the subject and the scope of each operation, made once in each
process and language, for `/api/schema` and for the reference."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import translation
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

from webapp.api.permissions import scope_of
from webapp.api.subjects import SUBJECTS, subject_of

if TYPE_CHECKING:
    from rest_framework.request import Request

_making = Lock()


class DescribedSchema(AutoSchema):
    def get_tags(self) -> list[str]:
        return [subject_of(type(self.view).__module__).key]

    def get_extensions(self) -> dict[str, Any]:
        return {"x-scope": scope_of(self.view, self.method)}


class KeptSchemaGenerator(SchemaGenerator):
    """Gives the one that is kept, whoever asks: nothing in it depends on the person."""

    def get_schema(self, request: Request | None = None, public: bool = False) -> dict[str, Any]:
        return kept_schema(own_language())


def own_language() -> str:
    """The reader's, one of ours: the schema's address takes any name."""
    language = translation.get_language() or settings.LANGUAGE_CODE
    return language if language in dict(settings.LANGUAGES) else str(settings.LANGUAGE_CODE)


def kept_schema(language: str) -> dict[str, Any]:
    """The whole schema as plain data. The generator counts its warnings in one place for all threads: one at a time."""
    with _making:
        return _schema(language)


@cache
def _schema(language: str) -> dict[str, Any]:
    with translation.override(language):
        schema: dict[str, Any] = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
        tags = [{"name": subject.key, "description": str(subject.title)} for subject in SUBJECTS]
    return schema | {"tags": tags}
