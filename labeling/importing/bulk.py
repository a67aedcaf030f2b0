"""Many rows into one table by one statement, on both databases.

The rows travel by a binary COPY on PostgreSQL, which stores the first while the last are still being made, and as
one JSON parameter on SQLite, where the database unpacks it; that costs a fraction of model objects and a placeholder
for each value. Columns and defaults come from the model, so a new field with a default needs no change here; what the
database computes itself is left out. Table and column names are the models' own; every value is a parameter.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson
import psycopg
from django.db import connection
from django.db.models import AutoField, Field, Model
from django.utils import timezone
from psycopg.types.json import set_json_dumps


def ids_reserve(model: type[Model], count: int) -> list[int]:
    """Primary keys, ascending, that no row has. Call in the transaction that inserts them: on SQLite, where nobody else
    writes meanwhile, they are free again until they are used.
    """
    table = model._meta.db_table
    if connection.vendor == "sqlite":
        found = _fetched("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        first = found[0][0] + 1 if found else 1
        return list(range(first, first + count))
    sequence = "(SELECT pg_get_serial_sequence(%s, 'id')::regclass)"  # looked up once, not for each row
    sql = f"SELECT nextval({sequence}) FROM generate_series(1, %s)"  # noqa: S608
    return [pk for (pk,) in _fetched(sql, [table, count])]


def rows_insert(
    model: type[Model], columns: Sequence[str], rows: Iterable[Sequence[Any]], *, constants: dict[str, Any]
) -> None:
    """Inserts the rows, whose values stand in the order of `columns`; `constants` are columns that are equal in all.

    What neither names gets its field's default. Raises IntegrityError when one row breaks a constraint.
    """
    fields = {field.attname: field for field in model._meta.concrete_fields if not field.generated}
    fixed: dict[str, Any] = {}
    made: dict[str, Any] = {}
    for name, field in fields.items():
        if name in columns or (isinstance(field, AutoField) and name not in constants):
            continue
        if name in constants or not _is_made(field):
            fixed[name] = constants.get(name, _default(field))
        else:
            made[name] = field.default
    makers = list(made.values())
    varying = ((*row, *[make() for make in makers]) for row in rows)
    insert = _insert_unpacked if connection.vendor == "sqlite" else _copy
    insert(
        model, [fields[name] for name in [*columns, *made]], varying, {fields[n]: v for n, v in fixed.items()}
    )


def _is_made(field: Field) -> bool:
    """Whether the default differs from row to row: it is a function, but not just an empty container."""
    return field.has_default() and callable(field.default) and field.default not in (dict, list)


def _default(field: Field) -> Any:
    if getattr(field, "auto_now_add", False) or getattr(field, "auto_now", False):
        return timezone.now()
    return field.get_default()


def _copy(
    model: type[Model], varying: Sequence[Field], rows: Iterable[tuple[Any, ...]], fixed: dict[Field, Any]
) -> None:
    fields, rest = [*varying, *fixed], tuple(fixed.values())
    sql = f"COPY {model._meta.db_table} ({_names(fields)}) FROM STDIN (FORMAT binary)"
    connection.ensure_connection()
    assert connection.connection is not None
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        set_json_dumps(orjson.dumps, cursor)
        with cursor.copy(sql) as copy:
            copy.set_types([_kind(field) for field in fields])
            for row in rows:
                copy.write_row(row + rest)


def _insert_unpacked(
    model: type[Model], varying: Sequence[Field], rows: Iterable[tuple[Any, ...]], fixed: dict[Field, Any]
) -> None:
    source, picked, unpacked = _unpacking(varying, [[_plain(value) for value in row] for row in rows])
    values = [field.get_db_prep_save(value, connection) for field, value in fixed.items()]
    marks = ", ".join([*picked, *["%s"] * len(values)])
    names = _names([*varying, *fixed])
    sql = f"INSERT INTO {model._meta.db_table} ({names}) SELECT {marks} FROM {source}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, *unpacked])


def _names(fields: Sequence[Field]) -> str:
    return ", ".join(connection.ops.quote_name(field.column or "") for field in fields)


def _plain(value: Any) -> Any:
    """A made default in a form that JSON and SQLite read."""
    return value.hex if isinstance(value, uuid.UUID) else value


def _unpacking(columns: Sequence[Field], rows: Sequence[Sequence[Any]]) -> tuple[str, list[str], list[Any]]:
    """The FROM item that unpacks the rows, an expression for each column, and the parameters of the item."""
    if connection.vendor == "sqlite":
        picked = [f"json_extract(value, '$[{index}]')" for index in range(len(columns))]
        return "json_each(%s)", picked, [orjson.dumps(rows).decode()]
    arrays = ", ".join(f"%s::{_kind(field)}[]" for field in columns)
    picked = [f"c{index}" for index in range(len(columns))]
    return (
        f"unnest({arrays}) AS r({', '.join(picked)})",
        picked,
        [list(column) for column in zip(*rows, strict=True)],
    )


def _kind(field: Field) -> str:
    """The column's type on PostgreSQL; text for one of a certain length, whose bytes are the same."""
    kind = field.db_type(connection) or "text"
    return "text" if kind.startswith(("varchar", "char")) else kind


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
    """Primary keys of the rows with these pairs of values, which are unique, by pair.

    A subquery for each pair is one index look-up; a join would be planned by the size that the table had when it was
    looked at last, and two IN lists would name every combination.
    """
    if not keys:
        return {}
    fields = {field.attname: field for field in model._meta.concrete_fields}
    first, second = (fields[name] for name in columns)
    source, picked, unpacked = _unpacking([first, second], list(keys))
    same = f"t.{_names([first])} = {picked[0]} AND t.{_names([second])} = {picked[1]}"
    look = f"SELECT t.id FROM {model._meta.db_table} t WHERE {same}"  # noqa: S608
    sql = f"SELECT {', '.join(picked)}, ({look}) FROM {source}"  # noqa: S608
    return {(a, b): pk for a, b, pk in _fetched(sql, unpacked) if pk is not None}
