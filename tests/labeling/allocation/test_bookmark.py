"""The bookmark never hides anything: whatever happens, the draw with it is the draw without it."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.models import Assignment, Batch, BatchPerson, Comparison, ComparisonState, Labeler, Project
from labeling.services import bookmark
from labeling.services.allocation import bookmarks_void, by_priority, candidates, lease_next, release_expired
from labeling.services.batches import Choice, batch_create, batch_extend
from labeling.services.draws import not_had
from labeling.services.preferences import LeaseLostError, UndoRefusedError, preference_submit, preference_undo
from labeling.services.projects import project_update
from tests.labeling.label.factories import add_pairs, make_labeler, make_project
from webapp.users.models import User

pytestmark = pytest.mark.django_db


def first_without(labeler: Labeler) -> int | None:
    """The first of the person's batch, else of everybody's queue."""
    ours = Comparison.objects.filter(
        state="open", open_slots__gt=0, batch__people__labeler=labeler, batch__closed_at=None
    )
    for rows in (not_had(labeler, ours), candidates(labeler)):
        found = by_priority(rows).values_list("pk", flat=True).first()
        if found is not None:
            return found
    return None


def drawn(labeler: Labeler) -> Assignment | None:
    held = set(labeler.assignments.filter(state="leased").values_list("pk", flat=True))
    leases = lease_next(labeler, count=len(held) + 1)
    new = [lease for lease in leases if lease.pk not in held]
    return new[0] if new else None


class World:
    """Some people and everything that can happen to a queue, by one seed."""

    def __init__(self, seed: int, *, with_batch: bool) -> None:
        self.dice = random.Random(seed)
        self.project = make_project(25, overlap=2)
        # Few priorities and many ties, as after an import.
        for row in Comparison.objects.all():
            Comparison.objects.filter(pk=row.pk).update(priority=float(self.dice.choice([0, 0, 0, 1, 2])))
        self.people = [make_labeler(self.project) for _ in range(3)]
        self.manager = User.objects.create_user(f"manager-{seed}")
        self.batch = self.make_batch(14) if with_batch else None

    def make_batch(self, number: int) -> Batch:
        """For the first two of the people."""
        kept = {"people": self.people[:2], "deadline": None, "choice": Choice(number), "actor": self.manager}
        return batch_create(project=self.project, name="batch", **kept)

    def step(self) -> None:
        deed = self.dice.choices(
            [
                self.answer, self.lapse, self.undo, self.skip, self.new_rows, self.reorder, self.overlap, self.extend
            ],
            [10, 4, 3, 3, 1, 1, 1, 1],
        )[0]  # fmt: skip
        deed()

    def extend(self) -> None:
        if self.batch is not None:
            with suppress(ValidationError):  # everybody's queue may be empty
                batch_extend(batch=self.batch, choice=Choice(2), actor=self.manager)

    def lease(self) -> Assignment | None:
        rows = Assignment.objects.filter(state="leased").order_by("pk")
        return self.dice.choice(rows) if rows else None

    def answer(self, choice: str = "2") -> None:
        lease = self.lease()
        if lease is not None:
            data = {"choice": choice, "skip_reason": "unclear" if choice == "skip" else ""}
            with suppress(LeaseLostError):  # a lower overlap has settled it meanwhile
                preference_submit(assignment=lease, data=data, idempotency_key=str(self.dice.random()))

    def skip(self) -> None:
        self.answer("skip")

    def lapse(self) -> None:
        lease = self.lease()
        if lease is not None:
            Assignment.objects.filter(pk=lease.pk).update(lease_expires_at=timezone.now() - timedelta(days=1))
            release_expired()

    def undo(self) -> None:
        rows = Assignment.objects.filter(state__in=["submitted", "skipped"]).order_by("pk")
        if rows:
            with suppress(UndoRefusedError, LeaseLostError):
                preference_undo(assignment=self.dice.choice(rows), idempotency_key=str(self.dice.random()))

    def new_rows(self) -> None:
        for row in add_pairs(self.project, 2):
            Comparison.objects.filter(pk=row.pk).update(priority=float(self.dice.choice([0, 1, 3])))
        bookmarks_void(self.project.pk)

    def reorder(self) -> None:
        for row in Comparison.objects.all():
            Comparison.objects.filter(pk=row.pk).update(priority=float(self.dice.choice([0, 0, 1, 2, 4])))
        bookmarks_void(self.project.pk)

    def overlap(self) -> None:
        self.project.refresh_from_db()
        project_update(project=self.project, actor=self.manager, overlap=self.dice.choice([1, 2, 3]))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [1, 50])
@pytest.mark.parametrize("with_batch", [False, True], ids=["queue", "batch"])
def test_the_draw_with_a_bookmark_is_the_draw_without(seed, ties, with_batch, monkeypatch):
    monkeypatch.setattr(bookmark, "MOVE_SHARE", 0.7)
    monkeypatch.setattr(bookmark, "TIES", ties)
    world, found, had_bookmark = World(seed, with_batch=with_batch), 0, 0
    marks = BatchPerson.objects if with_batch else Labeler.objects
    for _ in range(60):
        world.step()
        labeler = world.dice.choice(world.people)
        expected = first_without(labeler)
        lease = drawn(labeler)
        assert (lease.comparison_id if lease else None) == expected
        found += lease is not None
        had_bookmark += marks.filter(passed_id__isnull=False).exists()
    assert found > 20
    assert had_bookmark > 20


def test_too_many_freed_places_void_it(monkeypatch):
    monkeypatch.setattr(bookmark, "FREED_LIMIT", 3)
    project = make_project(12, overlap=2)
    labeler, other = make_labeler(project), make_labeler(project)
    lease_next(other, count=12)
    for lease in lease_next(labeler, count=6):
        preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key=str(lease.pk))
    Labeler.objects.filter(pk=labeler.pk).update(passed_priority=0.5, passed_id=0, passed_at=timezone.now())
    assert lease_next(labeler) == []
    Assignment.objects.filter(labeler=other).update(lease_expires_at=timezone.now() - timedelta(days=1))
    Comparison.objects.filter(label_count=0).update(open_slots=0)
    release_expired()
    assert [lease.comparison.priority for lease in lease_next(labeler)] == [6, 5]


def test_a_comparison_that_comes_back_from_review_is_found(monkeypatch):
    """A skip sends it to review, its undo brings it back, before the bookmark of somebody else."""
    monkeypatch.setattr(bookmark, "MOVE_SHARE", 1.0)
    project = make_project(4, overlap=2, skip_limit=1)
    first, second = make_labeler(project), make_labeler(project)
    lease = lease_next(first, count=1)[0]
    preference_submit(
        assignment=lease, data={"choice": "skip", "skip_reason": "unclear"}, idempotency_key="s"
    )
    assert [row.comparison.priority for row in lease_next(second, count=1)] == [3]
    preference_undo(assignment=lease, idempotency_key="u")
    assert Comparison.objects.get(pk=lease.comparison_id).state == ComparisonState.OPEN
    assert [row.comparison.priority for row in lease_next(second, count=2)] == [3, 4]


def test_a_change_of_settings_keeps_what_has_moved_meanwhile(django_user_model):
    """The work epoch is not written back from a row that was read before."""
    project = make_project(1)
    stale = Project.objects.get(pk=project.pk)
    bookmarks_void(project.pk)
    project_update(project=stale, actor=django_user_model.objects.create_user("m"), name="New")
    assert Project.objects.get(pk=project.pk).work_epoch == 1


def test_a_hundred_draws_move_it_now_and_then(monkeypatch):
    monkeypatch.setattr(bookmark, "MOVE_SHARE", 0.0)
    project = make_project(6)
    labeler = make_labeler(project)
    for lease in lease_next(labeler, count=3):
        preference_submit(assignment=lease, data={"choice": "2"}, idempotency_key=str(lease.pk))
    labeler.refresh_from_db()
    place = labeler.passed_priority
    with CaptureQueriesContext(
        connection,
    ) as captured:
        lease_next(labeler, count=1)
    labeler.refresh_from_db()
    assert labeler.passed_priority == place
    assert not [
        query for query in captured if 'passed_priority" =' in query["sql"] and "UPDATE" in query["sql"]
    ]
