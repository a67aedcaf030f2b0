"""Batches: comparisons whose places are kept for named people, with a deadline.

A comparison is in one batch at most, and leaves everybody's queue while it is. The deadline takes nothing away: what is
left stays with the batch's people until a manager gives it back to everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.models import (
    IN_QUEUE,
    QUEUE_ORDER,
    Batch,
    BatchPerson,
    Comparison,
    ComparisonState,
    ItemDeedKind,
    Labeler,
    Project,
)
from labeling.services.batch_notices import batch_tell, people_tell, stuck_among
from labeling.services.bookmark import bookmarks_void
from labeling.services.item_deeds import deeds_record
from webapp.audit.services import record
from webapp.users.models import User

CHUNK = 1000
AT_ONCE = 20_000
DUE_SOON = timedelta(days=1)


@dataclass(frozen=True)
class Choice:
    """Which of everybody's open comparisons a batch takes: the first `number` by priority, of a topic or language."""

    number: int
    topic: str = ""
    language: str = ""

    def of(self, project: Project) -> QuerySet[Comparison]:
        rows = Comparison.objects.filter(IN_QUEUE, project=project)
        if self.topic:
            rows = rows.filter(prompt__topic=self.topic)
        if self.language:
            rows = rows.filter(prompt__language=self.language)
        return rows.order_by(*QUEUE_ORDER)


def batch_create(
    *,
    project: Project,
    name: str,
    people: Sequence[Labeler],
    deadline: datetime | None,
    choice: Choice | None,
    actor: User,
) -> Batch:
    """A batch with the comparisons of the choice (None: an empty one, to be filled), of which its people are told.
    Raises ValidationError by field: a name in use, nobody named, a deadline that is over, nothing that fits."""
    ids = _chosen(project, choice) if choice else None
    batch = Batch(project=project, name=name.strip(), deadline=deadline, created_by=actor)
    with transaction.atomic():
        _checked(batch, people)
        if deadline is not None and deadline <= timezone.now():
            raise ValidationError({"deadline": _("This time is over. Choose a later one.")})
        batch.save()
        moved = _move(batch, ids, actor) if ids is not None else 0
        _people_set(batch, people)
        record(action="batch.create", subject=batch.name, actor=actor, project_id=project.pk, number=moved)
    return batch


@transaction.atomic
def batch_extend(*, batch: Batch, choice: Choice, actor: User) -> int:
    """Put more comparisons into an open batch. Returns how many. Raises ValidationError."""
    _open(batch)
    bookmarks_void(batch.project_id)  # those of its own people may have passed the places of the new ones
    moved = _move(batch, _chosen(batch.project, choice), actor)
    record(action="batch.extend", subject=batch.name, actor=actor, project_id=batch.project_id, number=moved)
    return moved


def batch_update(
    *, batch: Batch, actor: User, people: Sequence[Labeler] | None = None, **fields: Any
) -> None:
    """Change name, deadline, `is_paused` or people. A new deadline is announced anew. Raises ValidationError."""
    _open(batch)
    with transaction.atomic():
        if "deadline" in fields and fields["deadline"] != batch.deadline:
            batch.due_told_at = batch.over_told_at = None
        for key, value in fields.items():
            setattr(batch, key, value.strip() if key == "name" else value)
        _checked(batch, people)
        told = ["due_told_at", "over_told_at"] if "deadline" in fields else []
        batch.save(update_fields=[*fields, *told])
        if people is not None:
            _people_set(batch, people)
        record(action="batch.update", subject=batch.name, actor=actor, project_id=batch.project_id)


def batch_release(*, batch: Batch, actor: User) -> int:
    """Close the batch: what is not done goes back to everybody. Returns how many comparisons that were."""
    _open(batch)
    with transaction.atomic():
        Batch.objects.filter(pk=batch.pk).update(closed_at=timezone.now())
        freed = _give_back(Comparison.objects.filter(batch=batch), batch.project_id, actor)
        record(
            action="batch.release", subject=batch.name, actor=actor, project_id=batch.project_id, number=freed
        )
    return freed


def batch_delete(*, batch: Batch, actor: User) -> None:
    """Remove the batch; its comparisons stay, and go back to everybody."""
    with transaction.atomic():
        _give_back(Comparison.objects.filter(batch=batch), batch.project_id, actor)
        batch.delete()
        record(action="batch.delete", subject=batch.name, actor=actor, project_id=batch.project_id)


def batches_tick(now: datetime | None = None) -> int:
    """Tell people of a deadline within a day, and managers of one that is over, or of a batch that its own people
    cannot finish; once each. Returns how many batches.

    What came back to life in a closed batch (an answer undone, sent back by review) goes to everybody, too.
    """
    moment = now or timezone.now()
    closed = Comparison.objects.filter(batch__closed_at__isnull=False, state=ComparisonState.OPEN)
    for pk in set(closed.values_list("project_id", flat=True)):
        _give_back(closed.filter(project_id=pk), pk, None)
    left = Comparison.objects.filter(batch=OuterRef("pk"), state=ComparisonState.OPEN)
    waiting = Batch.objects.filter(Exists(left), closed_at__isnull=True, is_paused=False)
    stuck = stuck_among(waiting)
    Batch.objects.filter(stuck_told_at__isnull=False).exclude(pk__in=stuck).update(stuck_told_at=None)
    due = {
        "over_told_at": waiting.filter(deadline__lte=moment, over_told_at__isnull=True),
        "due_told_at": waiting.filter(
            deadline__gt=moment, deadline__lte=moment + DUE_SOON, due_told_at__isnull=True
        ),
        "stuck_told_at": waiting.filter(pk__in=stuck, stuck_told_at__isnull=True),
    }
    return sum(
        batch_tell(batch, stamp, moment)
        for stamp, batches in due.items()
        for batch in batches.select_related("project")
    )


def _chosen(project: Project, choice: Choice) -> list[int]:
    if not 1 <= choice.number <= AT_ONCE:
        raise ValidationError({"number": _("From 1 to %(max)d at once.") % {"max": AT_ONCE}})
    ids = list(choice.of(project).values_list("pk", flat=True)[: choice.number])
    if not ids:
        raise _nothing_fits()
    return ids


def _nothing_fits() -> ValidationError:
    return ValidationError({"number": _("No open comparison outside of other batches fits this choice.")})


def _checked(batch: Batch, people: Sequence[Labeler] | None) -> None:
    batch.full_clean(exclude=["created_by"], validate_constraints=False)
    if Batch.objects.filter(project=batch.project, name=batch.name).exclude(pk=batch.pk).exists():
        raise ValidationError({"name": _("Another batch of this project has this name.")})
    if people is not None and not people:
        raise ValidationError({"people": _("Name somebody whom the batch is for.")})


def _open(batch: Batch) -> None:
    if batch.closed_at is not None:
        raise ValidationError(_("This batch is closed."))


def _people_set(batch: Batch, people: Sequence[Labeler]) -> None:
    """These and nobody else. Who is new is told."""
    places = BatchPerson.objects.filter(batch=batch)
    places.exclude(labeler__in=people).delete()
    present = set(places.values_list("labeler_id", flat=True))
    new = [labeler for labeler in people if labeler.pk not in present]
    BatchPerson.objects.bulk_create(
        [BatchPerson(batch=batch, labeler=labeler) for labeler in new], ignore_conflicts=True
    )
    people_tell(batch, User.objects.filter(labelers__in=new))


def _move(batch: Batch, ids: list[int], actor: User) -> int:
    """Into the batch, locked in the order of their ids; what somebody has finished meanwhile stays out. Raises
    ValidationError where that is all of them. Inside a transaction."""
    moved, ordered = 0, sorted(ids)
    for start in range(0, len(ordered), CHUNK):
        rows = Comparison.objects.filter(IN_QUEUE, pk__in=ordered[start : start + CHUNK])
        locked = list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
        moved += Comparison.objects.filter(pk__in=locked).update(batch=batch)
        deeds_record(locked, kind=ItemDeedKind.BATCH, actor=actor, text=batch.name)
    if not moved:
        raise _nothing_fits()
    return moved


@transaction.atomic
def _give_back(rows: QuerySet[Comparison], project_id: int, actor: User | None) -> int:
    """What is not done goes back to everybody."""
    bookmarks_void(project_id)
    left = rows.exclude(state=ComparisonState.DONE)
    ids = list(left.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    left.update(batch=None)
    deeds_record(ids, kind=ItemDeedKind.FREED, actor=actor)
    return len(ids)
