"""Statements that are compiled once in each process and only bound afterwards, for the way of one vote.

Making a queryset and turning it into SQL costs Django more than most short statements cost the database, and PostgreSQL
spends longer on planning them than on doing them. `Kept` takes a function from `Slot`s to a queryset, calls it once and
keeps the SQL; later calls give the slots their values. The same function called with values gives the plain queryset.
On PostgreSQL the values go beside the text, so that the server keeps its plan, too (`prepare_threshold` in `env.py`).
Constants stand in the text: what is not known when a plan is made cannot be served by a partial index. A function must
therefore not take the time, a setting or the language into its queryset. No row is kept: each call reads what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import AutoField, BigIntegerField, Field, Model, QuerySet
from django.db.models.sql import UpdateQuery
from django.db.transaction import TransactionManagementError

from webapp.kept.instances import converted, maker
from webapp.kept.statements import Slot, Statement, executed, statement_of

RowT = TypeVar("RowT")


def _database() -> Any:
    """This thread's connection itself: each look through Django's proxy `connection` costs as much as a small value."""
    return connections[DEFAULT_DB_ALIAS]


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
        statement, converters, make, is_locking = self._known(database)
        if is_locking and not database.in_atomic_block:
            raise TransactionManagementError("A query that locks runs inside of a transaction.")
        found = statement.execute(database, values).fetchall()
        return [make(converted(row, converters, database) if converters else row) for row in found]

    def first(self, **values: Any) -> RowT | None:
        """The first row; `build` says the order and, where there may be several rows, the limit."""
        found = self.rows(**values)
        return found[0] if found else None

    def _compile(self, database: Any) -> tuple[Statement, Any, Callable[[Any], RowT], bool]:
        queryset = self.build(**self._slots)
        compiler = queryset.query.get_compiler(using=database.alias)
        statement = statement_of(database, *compiler.as_sql())
        converters = compiler.get_converters([column[0] for column in compiler.select])
        is_tuples = compiler.klass_info is None or bool(queryset.query.values_select)
        make: Callable[[Any], Any] = tuple if is_tuples else maker(compiler, database.alias)
        return statement, list(converters.items()), make, queryset.query.select_for_update


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

    def _compile(self, database: Any) -> Statement:
        queryset, changes = self.build(**self._slots)
        query = queryset.query.chain(UpdateQuery)
        query.clear_ordering(force=True)
        query.add_update_values(changes)
        return statement_of(database, *query.get_compiler(using=database.alias).as_sql())


class KeptInsert:
    """A kept INSERT of one row of a model; `upsert` names the fields that replace the present row's where the primary
    key is taken; `once` those of a unique constraint: nothing is written where a row has these values."""

    def __init__(self, model: type[Model], *, upsert: Sequence[str] = (), once: Sequence[str] = ()) -> None:
        key = model._meta.pk
        columns_of = model._meta.local_concrete_fields
        self._fields = [f for f in columns_of if not (f.generated or isinstance(f, AutoField))]
        columns = ", ".join(f'"{field.column}"' for field in self._fields)
        places = ", ".join("%s" for _field in self._fields)
        self._sql = f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({places})'  # noqa: S608
        if upsert:
            changes = ", ".join(f"{column} = EXCLUDED.{column}" for column in _columns(model, upsert))
            self._sql += f' ON CONFLICT ("{key.column}") DO UPDATE SET {changes}'
        if once:
            self._sql += f" ON CONFLICT ({', '.join(_columns(model, once))}) DO NOTHING"
        self._sql += f' RETURNING "{key.column}"'

    def run(self, row: Model) -> bool:
        """Save the new row, which then has its primary key. False where `once` kept it out. No signals are sent: this
        app has none."""
        database = _database()
        values = [field.get_db_prep_save(field.pre_save(row, add=True), database) for field in self._fields]
        made = executed(database, self._sql, values).fetchall()
        if not made:
            return False
        ((row.pk,),) = made
        row._state.adding, row._state.db = False, database.alias
        return True


def _columns(model: type[Model], names: Sequence[str]) -> list[str]:
    return [f'"{model._meta.get_field(name).column}"' for name in names]  # type: ignore[union-attr]
