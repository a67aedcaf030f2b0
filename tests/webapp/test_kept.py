"""A kept statement gives what the plain queryset gives, and is compiled once."""

from __future__ import annotations

import uuid

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import CharField, DateTimeField, Exists, F, FloatField, JSONField, OuterRef, UUIDField
from django.utils import timezone

from labeling.models import Assignment, Comparison, Project, Resolution
from labeling.services.allocation import lease_next
from tests.labeling.label.factories import make_labeler, make_project
from webapp.kept import Kept, KeptInsert, KeptUpdate

pytestmark = pytest.mark.django_db


def test_instances_come_with_their_relations_and_annotations():
    project = make_project(3)
    for lease in lease_next(make_labeler(project), count=3):
        kept = Kept(
            lambda uid: (
                Assignment.objects.filter(uid=uid)
                .select_related("comparison__prompt", "comparison__resolution", "labeler")
                .annotate(is_held=Exists(Assignment.objects.filter(pk=OuterRef("pk"), state="leased")))
            ),
            uid=UUIDField(),
        )
        found, plain = kept.first(uid=lease.uid), kept.build(uid=lease.uid).get()
        assert found == plain
        assert vars(found) | {"_state": 0} == vars(plain) | {"_state": 0}
        assert found._state.fields_cache["labeler"] == plain.labeler
        assert found.comparison.prompt.messages == plain.comparison.prompt.messages
        assert not hasattr(found.comparison, "resolution")
        assert found.is_held is True


def test_values_come_as_tuples_in_order():
    make_project(4)
    kept = Kept(
        lambda above: (
            Comparison.objects.filter(priority__gt=above)
            .order_by("-pk")
            .values_list("pk", F("priority") + above)
        ),
        above=FloatField(),
    )
    for above in (2.0, 3.0, 99.0):
        assert kept.rows(above=above) == list(kept.build(above=above))
    assert kept.first(above=99.0) is None


def test_it_is_compiled_once_and_then_bound():
    project, built = make_project(2), []

    def build(name, since):
        built.append(name)
        return Project.objects.filter(name=name, created_at__lt=since)

    kept = Kept(build, name=CharField(), since=DateTimeField())
    assert [kept.rows(name=project.name, since=timezone.now()) for _ in range(8)] == [[project]] * 8
    assert kept.rows(name="another", since=timezone.now()) == []
    assert kept.rows(name=None, since=timezone.now()) == []
    assert len(built) == 1


@pytest.mark.parametrize("name", ["100 %", "%s", "it's", 'say "so"', "back\\slash", "%%", "对比"])
def test_constants_stand_in_the_text_as_they_are(name):
    project = make_project(1)
    Project.objects.filter(pk=project.pk).update(name=name)
    kept = Kept(lambda pk: Project.objects.filter(name=name, pk=pk), pk=None)
    assert kept.rows(pk=project.pk) == [project]
    assert Kept(lambda given: Project.objects.filter(name=given), given=CharField()).rows(given=name) == [
        project
    ]


def test_updates_tell_how_many_rows_they_have_changed():
    lease = lease_next(make_labeler(make_project(3)))[0]
    kept = KeptUpdate(
        lambda pk, draft, at: (
            Assignment.objects.filter(pk=pk, state="leased"),
            {"draft": draft, "finished_at": at, "swapped": True},
        ),
        pk=None,
        draft=JSONField(),
        at=DateTimeField(),
    )
    at, draft = timezone.now(), {"rationale": "50 % “better”", "reasons": [], "n": None}
    assert kept.run(pk=lease.pk, draft=draft, at=at) == 1
    assert kept.run(pk=0, draft=draft, at=at) == 0
    lease.refresh_from_db()
    assert (lease.draft, lease.finished_at, lease.swapped) == (draft, at, True)
    places = KeptUpdate(
        lambda pk: (Comparison.objects.filter(pk=pk), {"open_slots": F("open_slots") - 1}), pk=None
    )
    free = Comparison.objects.get(pk=lease.comparison_id).open_slots
    assert [places.run(pk=lease.comparison_id) for _ in range(free)] == [1] * free
    with (
        pytest.raises(IntegrityError),
        transaction.atomic(),
    ):  # the database's own check holds here as everywhere
        places.run(pk=lease.comparison_id)


def test_inserts_give_the_row_its_key_and_upserts_replace_what_they_name():
    labeler = make_labeler(make_project(2))
    pair = Comparison.objects.order_by("pk")[0]
    row = Assignment(
        comparison=pair, labeler=labeler, swapped=False, drawn="random", lease_expires_at=timezone.now()
    )
    KeptInsert(Assignment).run(row)
    stored = Assignment.objects.get(pk=row.pk)
    assert (stored.uid, stored.created_at, stored.draft) == (row.uid, row.created_at, {})
    assert isinstance(stored.uid, uuid.UUID)
    again = Assignment(comparison=pair, labeler=labeler, swapped=True, lease_expires_at=timezone.now())
    assert KeptInsert(Assignment, once=["labeler", "comparison"]).run(again) is False
    assert (Assignment.objects.get().swapped, again.pk) == (False, None)

    write = KeptInsert(Resolution, upsert=["outcome", "votes_a"])
    for outcome, votes, p_a in (("a", 1, 1.0), ("tie", 2, 0.5)):
        write.run(
            Resolution(comparison=pair, project=labeler.project, outcome=outcome, votes_a=votes, p_a=p_a)
        )
    [found] = Resolution.objects.all()
    assert (found.outcome, found.votes_a, found.p_a, found.agreement) == ("tie", 2, 1.0, 1.0)


@pytest.mark.postgres
def test_postgres_keeps_the_plan_after_a_few_times():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite keeps its own")
    kept = Kept(lambda pk: Project.objects.filter(pk=pk, name="kept once"), pk=None)
    for pk in range(10):
        kept.rows(pk=pk)
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%kept once%$1%'")
        assert len(cursor.fetchall()) == 1


@pytest.mark.django_db(transaction=True)
def test_what_locks_is_refused_outside_of_a_transaction_each_time():
    project = make_project(1)
    kept = Kept(lambda pk: Project.objects.filter(pk=pk).select_for_update(), pk=None)
    with transaction.atomic():
        assert kept.rows(pk=project.pk) == [project]
    for _time in range(2):
        with pytest.raises(transaction.TransactionManagementError):
            kept.rows(pk=project.pk)
