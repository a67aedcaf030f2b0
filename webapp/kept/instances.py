"""From rows of a query to what the query gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db.models.base import ModelState


def converted(row: Sequence[Any], converters: Any, database: Any) -> list[Any]:
    values = list(row)
    for place, (functions, expression) in converters:
        for convert in functions:
            values[place] = convert(values[place], expression, database)
    return values


def maker(compiler: Any, alias: str) -> Callable[[Any], Any]:
    """From a row to an instance with what the query joins and annotates."""
    read = _reader(compiler.klass_info, compiler.select, alias)
    annotations = list((compiler.annotation_col_map or {}).items())

    def make(row: Any) -> Any:
        made = read(row)
        for name, place in annotations:
            setattr(made, name, row[place])
        return made

    return make


def _reader(info: Any, select: Any, alias: str) -> Callable[[Any], Any]:
    """From a row to an instance of one model of the query, as `ModelIterable` of Django does it, but
    for the model's `__init__`, which has nothing to do for values from the database. None where a join found nothing.
    """
    model = info["model"]
    start, end = info["select_fields"][0], info["select_fields"][-1] + 1
    names = [column[0].target.attname for column in select[start:end]]
    key = start + names.index(model._meta.pk.attname)
    joined = [
        (_reader(inner, select, alias), inner["local_setter"], inner["remote_setter"])
        for inner in info.get("related_klass_infos", ())
    ]

    def read(row: Any) -> Any:
        if row[key] is None:
            return None
        made = model.__new__(model)
        made._state = state = ModelState()
        state.adding, state.db = False, alias
        vars(made).update(zip(names, row[start:end], strict=True))
        for other, set_there, set_back in joined:
            found = other(row)
            set_there(made, found)
            if found is not None:
                set_back(found, made)
        return made

    return read
