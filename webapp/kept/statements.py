"""Statements as text with places for values, and their execution."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db.models import Expression, Field

_PLACES = re.compile(r"%[s%]")


class Slot(Expression):
    """A place for a value. `field` says how the value goes to the database, by default as a whole number."""

    def __init__(self, name: str, field: Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name
        self.prepare = field.get_db_prep_value

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Slot]]:  # type: ignore[override]
        return "%s", [self]


class Statement:
    """SQL with its places: a Slot each, or a constant where those go beside the text, too."""

    def __init__(self, sql: str, places: Sequence[Any]) -> None:
        self.sql = sql
        self.places = places

    def execute(self, database: Any, values: dict[str, Any]) -> Any:
        """The cursor, with the statement executed."""
        bound = [
            place.prepare(values[place.name], database) if isinstance(place, Slot) else place
            for place in self.places
        ]
        return executed(database, self.sql, bound)


def executed(database: Any, sql: str, values: Sequence[Any]) -> Any:
    """A cursor with the statement executed. Its rows are to be read at once: it serves the next call, too."""
    if database.vendor != "postgresql":
        cursor = database.cursor()
        cursor.execute(sql, values)
        return cursor
    database.ensure_connection()
    cursor = _cursor_of(database.connection, sql)
    if database.queries_logged or database.execute_wrappers:  # somebody watches
        database._prepare_cursor(cursor).execute(sql, values)
        return cursor
    database.validate_no_broken_transaction()
    with database.wrap_database_errors:
        cursor.execute(sql, values)
    return cursor


def _cursor_of(connection: Any, sql: str) -> Any:
    """The connection's own cursor for this statement: psycopg works out once for each how values go and come."""
    cursors = vars(connection).setdefault("kept_cursors", {})
    cursor = cursors.get(sql)
    if cursor is None:
        cursor = cursors[sql] = _prepared_cursor()(connection)
    return cursor


@cache
def _prepared_cursor() -> Any:
    from django.db.backends.postgresql.base import ServerBindingCursor

    class PreparedCursor(ServerBindingCursor):
        """Leaves the values to the server, as prepared statements need it, and remembers its statement where Django
        looks for it, which psycopg does not once the server has its plan."""

        def _convert_query(self, query: Any, params: Any = None) -> Any:
            self._query = super()._convert_query(query, params)  # type: ignore[misc]
            return self._query

    return PreparedCursor


def statement_of(database: Any, sql: str, params: Sequence[Any]) -> Statement:
    """On PostgreSQL with all constants in the text."""
    if database.vendor != "postgresql":
        return Statement(sql, params)
    left = iter(params)
    slots: list[Slot] = []
    with database.cursor() as cursor:

        def written(place: re.Match[str]) -> str:
            if place.group() == "%%":
                return "%%"
            value = next(left)
            if isinstance(value, Slot):
                slots.append(value)
                return "%s"
            literal: str = cursor.mogrify("%s", [value])
            return literal.replace("%", "%%")

        text = _PLACES.sub(written, sql)
    return Statement(text, slots)
