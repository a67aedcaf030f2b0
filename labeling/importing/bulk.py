"""Many rows into one table by one statement, on both databases.

The rows travel as an array for each column on PostgreSQL, beside the statement, and as one JSON parameter on SQLite,
where the database unpacks it; that costs a fraction of model objects and a placeholder for each value. Columns and
defaults come from the model, so a new field with a default needs no change here; what the database computes itself
is left out. Table and column names are the models' own; every value is a parameter.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any

import orjson
import psycopg
from django.db import connection
from django.db.models import AutoField, Field, Model
from django.utils import timezone


def rows_insert(
    model: type[Model],
    rows: Sequence[dict[str, Any]],
    *,
    constants: dict[str, Any],
    returning: Sequence[str] = (),
    ignore_conflicts: bool = True,
) -> list[tuple[Any, ...]]:
    """Inserts the rows, and returns (primary key, *returning) of those that were really inserted.

    `rows` are values by column name, all with the same columns; `constants` are columns that are equal in
    all rows. What neither names gets its field's default. With `ignore_conflicts`, rows that break a
    unique constraint are left out; otherwise they raise IntegrityError.
    """
    if not rows:
        return []
    fields = {
        field.attname: field
        for field in model._meta.concrete_fields
        if not isinstance(field, AutoField) and not field.generated
    }
    varying = list(rows[0])
    fixed: dict[str, Any] = {}
    made: dict[str, Any] = {}
    for name, field in fields.items():
        if name in varying:
            continue
        if name in constants or not _is_made(field):
            fixed[name] = field.get_db_prep_save(constants.get(name, _default(field)), connection)
        else:
            made[name] = field.default
    values = [[row[name] for name in varying] + [_plain(make()) for make in made.values()] for row in rows]
    columns = [fields[name] for name in [*varying, *made]]
    source, picked, unpacked = _unpacking(columns, values)
    quoted = connection.ops.quote_name
    key = quoted(model._meta.pk.column or "")
    names = ", ".join(quoted(field.column or "") for field in [*columns, *(fields[name] for name in fixed)])
    marks = ", ".join([*picked, *(_mark(fields[name]) for name in fixed)])
    sql = (
        f"INSERT INTO {model._meta.db_table} ({names}) SELECT {marks} FROM {source} WHERE true "  # noqa: S608
        f"{'ON CONFLICT DO NOTHING' if ignore_conflicts else ''} RETURNING {', '.join([key, *returning])}"
    )
    return _fetched(sql, [*fixed.values(), *unpacked])


def _is_made(field: Field) -> bool:
    """Whether the default differs from row to row: it is a function, but not just an empty container."""
    return field.has_default() and callable(field.default) and field.default not in (dict, list)


def _default(field: Field) -> Any:
    if getattr(field, "auto_now_add", False) or getattr(field, "auto_now", False):
        return timezone.now()
    return field.get_default()


def _plain(value: Any) -> Any:
    """A made default in a form that JSON and both databases read."""
    return value.hex if isinstance(value, uuid.UUID) else value


def _unpacking(columns: Sequence[Field], rows: Sequence[Sequence[Any]]) -> tuple[str, list[str], list[Any]]:
    """The FROM item that unpacks the rows, an expression for each column, and the parameters of the item."""
    if connection.vendor == "sqlite":
        picked = [f"json_extract(value, '$[{index}]')" for index in range(len(columns))]
        return "json_each(%s)", picked, [orjson.dumps(rows).decode()]
    kinds = [_kind(field) for field in columns]
    arrays = ", ".join(f"%s::{'text' if kind == 'jsonb' else kind}[]" for kind in kinds)
    names = ", ".join(f"c{index}" for index in range(len(kinds)))
    picked = [f"c{index}::jsonb" if kind == "jsonb" else f"c{index}" for index, kind in enumerate(kinds)]
    values = [
        [orjson.dumps(one).decode() for one in column] if kind == "jsonb" else list(column)
        for kind, column in zip(kinds, zip(*rows, strict=True), strict=True)
    ]
    return f"unnest({arrays}) AS r({names})", picked, values


def _kind(field: Field) -> str:
    """The column's type on PostgreSQL; text for one of a certain length, because a cast to that would cut it."""
    kind = field.db_type(connection) or "text"
    return "text" if kind.startswith(("varchar", "char")) else kind


def _mark(field: Field) -> str:
    """The placeholder of a value that is equal in all rows; PostgreSQL must be told its type."""
    return "%s" if connection.vendor == "sqlite" else f"%s::{_kind(field)}"


def _fetched(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The statement's rows. On PostgreSQL the parameters travel beside the statement, not written into it."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())
    connection.ensure_connection()
    assert connection.connection is not None
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as sent:
        return sent.execute(sql, parameters).fetchall()


def find_pairs(
    model: type[Model], columns: tuple[str, str], keys: Collection[tuple[Any, Any]]
) -> dict[Any, int]:
    """Primary keys of the rows with these pairs of values, by pair.

    A join with a list of pairs: one index look-up for each. Two separate IN lists would name every
    combination.
    """
    if not keys:
        return {}
    fields = {field.attname: field for field in model._meta.concrete_fields}
    source, picked, unpacked = _unpacking([fields[name] for name in columns], list(keys))
    first, second = (connection.ops.quote_name(fields[name].column or "") for name in columns)
    sql = (
        f"SELECT t.{first}, t.{second}, t.id "  # noqa: S608
        f"FROM (SELECT {picked[0]} AS k1, {picked[1]} AS k2 FROM {source}) w "
        f"JOIN {model._meta.db_table} t ON t.{first} = w.k1 AND t.{second} = w.k2"
    )
    return {(a, b): pk for a, b, pk in _fetched(sql, unpacked)}
