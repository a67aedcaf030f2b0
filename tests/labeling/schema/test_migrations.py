"""The migrations go back and forth with rows in the tables, and the guards of the rows stand at every step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from labeling.models import Comparison, Preference, Resolution, SearchText
from tests.labeling.schema.rows import fill_every_table

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE = "0004_reveals"


def migrate(*names: str) -> None:
    """labeling to these migrations, or everything to the newest."""
    executor = MigrationExecutor(connection)
    executor.migrate([("labeling", name) for name in names] or executor.loader.graph.leaf_nodes())


@pytest.fixture
def newest_afterwards() -> Iterator[None]:
    yield
    migrate()


def names_since_then() -> list[str]:
    graph = MigrationExecutor(connection).loader.graph
    (leaf,) = graph.leaf_nodes("labeling")
    names = [name for app, name in graph.forwards_plan(leaf) if app == "labeling"]
    return names[names.index(BEFORE) + 1 :]


def preferences_are_guarded() -> bool:
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE labeling_preference SET outcome = 'tie'")
    return True


def test_back_and_forth_with_rows(newest_afterwards):
    fill_every_table()
    rows = list(Preference.objects.order_by("pk").values_list("pk", "outcome", "idempotency_key"))
    numbers = Comparison.objects.count(), Resolution.objects.count()
    steps = names_since_then()
    for name in reversed([BEFORE, *steps[:-1]]):
        migrate(name)
        assert preferences_are_guarded(), name
    for name in steps:
        migrate(name)
        assert preferences_are_guarded(), name
    migrate()
    assert list(Preference.objects.order_by("pk").values_list("pk", "outcome", "idempotency_key")) == rows
    assert (Comparison.objects.count(), Resolution.objects.count()) == numbers
    assert set(Comparison.objects.values_list("use", flat=True)) == {"work"}
    assert Resolution.objects.get().agreement == 0.5
    assert not SearchText.objects.exists()
