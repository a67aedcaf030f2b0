"""Statements that are compiled once in each process and only bound afterwards, for the way of one vote.

Making a queryset and turning it into SQL costs Django more than most short statements cost the database, and PostgreSQL
spends longer on planning them than on doing them. `Kept` takes a function from `Slot`s to a queryset, calls it once and
keeps the SQL; later calls give the slots their values. The same function called with values gives the plain queryset.
On PostgreSQL the values go beside the text, so that the server keeps its plan, too (`prepare_threshold` in `env.py`).
Constants stand in the text: what is not known when a plan is made cannot be served by a partial index. A function must
therefore not take the time, a setting or the language into its queryset. No row is kept: each call reads what there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import AutoField, BigIntegerField, Expression, Field, Model, QuerySet
from django.db.models.base import ModelState
from django.db.models.sql import UpdateQuery

RowT = TypeVar("RowT")
_PLACES = re.compile(r"%[s%]")


def _database() -> Any:
    """This thread's connection itself: each look through Django's proxy `connection` costs as much as a small value."""
    return connections[DEFAULT_DB_ALIAS]


class Slot(Expression):
    """A place for a value. `field` says how the value goes to the database, by default as a whole number."""

    def __init__(self, name: str, field: Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name
        self.prepare = field.get_db_prep_value

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Slot]]:  # type: ignore[override]
        return "%s", [self]


class _Statement:
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
        return _executed(database, self.sql, bound)


def _executed(database: Any, sql: str, values: Sequence[Any]) -> Any:
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


def _statement(database: Any, sql: str, params: Sequence[Any]) -> _Statement:
    """On PostgreSQL with all constants in the text."""
    if database.vendor != "postgresql":
        return _Statement(sql, params)
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
    return _Statement(text, slots)


class _Compiled:
    """What all kinds have: slots by name, and one compilation for each kind of database."""

    def __init__(self, build: Callable[..., Any], **fields: Field[Any, Any] | None) -> None:
        """`fields`: the arguments of `build` by name; None is a whole number."""
        self.build = build
        self._slots = {name: Slot(name, field or BigIntegerField()) for name, field in fields.items()}
        self._ready: dict[str, Any] = {}

    def _known(self, database: Any) -> Any:
        found = self._ready.get(database.vendor)
        if found is None:  # two threads at once do it twice, to the same end
            found = self._ready[database.vendor] = self._compile(database)
        return found

    def _compile(self, database: Any) -> Any:
        raise NotImplementedError


class Kept(_Compiled, Generic[RowT]):
    """A kept query: of model instances, `select_related` and annotations included, or of `values_list` tuples."""

    def __init__(self, build: Callable[..., QuerySet[Any, RowT]], **fields: Field[Any, Any] | None) -> None:
        super().__init__(build, **fields)

    def rows(self, **values: Any) -> list[RowT]:
        database = _database()
        statement, converters, make = self._known(database)
        found = statement.execute(database, values).fetchall()
        return [make(_converted(row, converters, database) if converters else row) for row in found]

    def first(self, **values: Any) -> RowT | None:
        """The first row; `build` says the order and, where there may be several rows, the limit."""
        found = self.rows(**values)
        return found[0] if found else None

    def _compile(self, database: Any) -> tuple[_Statement, Any, Callable[[Any], RowT]]:
        queryset = self.build(**self._slots)
        compiler = queryset.query.get_compiler(using=database.alias)
        statement = _statement(database, *compiler.as_sql())
        converters = compiler.get_converters([column[0] for column in compiler.select])
        is_tuples = compiler.klass_info is None or bool(queryset.query.values_select)
        make: Callable[[Any], Any] = tuple if is_tuples else _maker(compiler, database.alias)
        return statement, list(converters.items()), make


def _converted(row: Sequence[Any], converters: Any, database: Any) -> list[Any]:
    values = list(row)
    for place, (functions, expression) in converters:
        for convert in functions:
            values[place] = convert(values[place], expression, database)
    return values


def _maker(compiler: Any, alias: str) -> Callable[[Any], Any]:
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


class KeptUpdate(_Compiled):
    """A kept UPDATE: `build` gives the rows and what becomes of their columns."""

    def __init__(
        self,
        build: Callable[..., tuple[QuerySet[Any, Any], dict[str, Any]]],
        **fields: Field[Any, Any] | None,
    ) -> None:
        super().__init__(build, **fields)

    def run(self, **values: Any) -> int:
        """How many rows it has changed."""
        database = _database()
        return int(self._known(database).execute(database, values).rowcount)

    def _compile(self, database: Any) -> _Statement:
        queryset, changes = self.build(**self._slots)
        query = queryset.query.chain(UpdateQuery)
        query.clear_ordering(force=True)
        query.add_update_values(changes)
        return _statement(database, *query.get_compiler(using=database.alias).as_sql())


class KeptInsert:
    """A kept INSERT of one row of a model; `upsert` names the fields that replace the present row's where the primary
    key is taken."""

    def __init__(self, model: type[Model], *, upsert: Sequence[str] = ()) -> None:
        key = model._meta.pk
        columns_of = model._meta.local_concrete_fields
        self._fields = [f for f in columns_of if not (f.generated or isinstance(f, AutoField))]
        columns = ", ".join(f'"{field.column}"' for field in self._fields)
        places = ", ".join("%s" for _field in self._fields)
        self._sql = f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({places})'  # noqa: S608
        if upsert:
            replaced = (model._meta.get_field(name).column for name in upsert)  # type: ignore[union-attr]
            changes = ", ".join(f'"{column}" = EXCLUDED."{column}"' for column in replaced)
            self._sql += f' ON CONFLICT ("{key.column}") DO UPDATE SET {changes}'
        self._sql += f' RETURNING "{key.column}"'

    def run(self, row: Model) -> None:
        """Save the new row, which then has its primary key. No signals are sent: this app has none."""
        database = _database()
        values = [field.get_db_prep_save(field.pre_save(row, add=True), database) for field in self._fields]
        ((row.pk,),) = _executed(database, self._sql, values).fetchall()
        row._state.adding, row._state.db = False, database.alias
