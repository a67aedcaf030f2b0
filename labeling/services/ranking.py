"""Leasing a prompt's responses to one labeler, to be ranked.

What a ranking holds are ordinary assignments, one for each pair that still has a place, drawn by "ranking": caps,
lapses and "never the same pair twice" are those of the pair page. Locks are taken in one order: labeler, comparisons
by id, the rest.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models import (
    Assignment,
    AssignmentState,
    Comparison,
    DrawnBy,
    Labeler,
    Project,
    RankingTask,
)
from labeling.ranks import MAX_SHOWN
from labeling.scheme import read_scheme
from labeling.services.allocation import (
    LabelingError,
    candidates,
    is_swapped,
    lease_end,
    lease_next,
    person_read,
)
from labeling.services.draws import common_queue
from labeling.services.leases import lapses_of
from labeling.services.rankable import MIN_PAIRS, pairs_to_rank, prompts_ahead


class RankingOffError(LabelingError):
    """The label scheme says that people compare pairs here."""

    code = "ranking_off"
    message = _("This project is labeled in pairs. A manager can turn ranking on in its settings.")


class NotQualifiedError(LabelingError):
    """The person has yet to pass the project's qualification, which is made of pairs."""

    code = "not_qualified"
    message = _("Answer the qualification on the label page first.")


class PairsFirstError(LabelingError):
    """Pairs wait for the person that no ranking holds: of a batch of theirs, or all that nobody can rank."""

    code = "pairs_first"
    message = _("Some pairs are to be compared first, on the label page.")


def ranking_next(labeler: Labeler, *, now: datetime | None = None) -> RankingTask | None:
    """The ranking that this person holds, or a new one: the prompt of the highest pair in the person's queue that has
    MIN_PAIRS open pairs or more. None: there is none among the first LOOK_AHEAD pairs.

    Raises RankingOffError, PausedError, NotQualifiedError, PairsFirstError.
    """
    moment = now or timezone.now()
    person = person_read(labeler)
    project = person.project
    if read_scheme(project.scheme).screen == "pairs":
        raise RankingOffError
    if project.qualification_size and person.qualified_at is None:
        raise NotQualifiedError
    held = _held(labeler, project, moment)
    if held is not None:
        return held
    # Who also compares pairs is given these there.
    if read_scheme(project.scheme).screen == "ranking" and lease_next(labeler, count=1):
        raise PairsFirstError
    for prompt_id in prompts_ahead(common_queue(person)):
        with transaction.atomic():
            # Two tabs of one person ask one after the other.
            person = person_read(labeler, is_locked=True)
            task = _held(labeler, project, moment) or _lease_prompt(labeler, project, prompt_id, moment)
            if task is not None:
                common_queue(person).move(is_empty=False)
                return task
    with transaction.atomic():
        common_queue(person_read(labeler, is_locked=True)).move(is_empty=True)
    return None


def places_held(task: RankingTask) -> QuerySet[Assignment]:
    """The leases of the pairs that this ranking still holds."""
    return Assignment.objects.filter(
        labeler_id=task.labeler_id,
        comparison__prompt_id=task.prompt_id,
        drawn=DrawnBy.RANKING,
        state=AssignmentState.LEASED,
    )


def _held(labeler: Labeler, project: Project, moment: datetime) -> RankingTask | None:
    tasks = RankingTask.objects.filter(labeler=labeler, state=AssignmentState.LEASED)
    task = tasks.select_related("project", "prompt", "labeler").first()
    if task is None:
        return None
    # A half-spent lease alone is renewed, so that a reload costs no write.
    if task.lease_expires_at <= moment + timedelta(seconds=project.lease_s / 2):
        if not ranking_renew(task, now=moment):
            return None
        task.refresh_from_db(fields=["lease_expires_at"])
    return task


def ranking_renew(task: RankingTask, *, now: datetime | None = None) -> bool:
    """Extend the leases of a ranking that still holds some of its pairs. False where all have been collected: the
    ranking is expired then, and may be leased again."""
    end = lease_end(task.project, now)
    with transaction.atomic():
        RankingTask.objects.select_for_update(no_key=True).get(pk=task.pk)  # first, as an answer does
        is_held = bool(places_held(task).update(lease_expires_at=end))
        changes = {"lease_expires_at": end} if is_held else {"state": AssignmentState.EXPIRED}
        rows = RankingTask.objects.filter(pk=task.pk, state=AssignmentState.LEASED).update(**changes)
    return is_held and rows == 1


def ranking_draft_save(*, task: RankingTask, draft: dict[str, Any]) -> bool:
    """Keep what the labeler has entered so far. False when the ranking was already given."""
    rows = RankingTask.objects.filter(pk=task.pk, state__in=[AssignmentState.LEASED, AssignmentState.EXPIRED])
    return rows.update(draft=draft) == 1


def ranking_opened(task: RankingTask) -> None:
    RankingTask.objects.filter(pk=task.pk, opened_at=None).update(opened_at=timezone.now())


def ranking_release_expired(now: datetime | None = None) -> int:
    """Expire the lapsed rankings whose pairs have all been collected. Returns how many."""
    held = Assignment.objects.filter(
        labeler=OuterRef("labeler"),
        comparison__prompt=OuterRef("prompt"),
        drawn=DrawnBy.RANKING,
        state=AssignmentState.LEASED,
    )
    lapsed = RankingTask.objects.filter(
        ~Exists(held), state=AssignmentState.LEASED, lease_expires_at__lte=now or timezone.now()
    )
    return lapsed.update(state=AssignmentState.EXPIRED)


def _lease_prompt(labeler: Labeler, project: Project, prompt_id: int, moment: datetime) -> RankingTask | None:
    """Take a place of every pair of the shown responses that has one, inside a transaction.

    Another tab may answer meanwhile, and what a statement that waited for a lock looks up is older than the row:
    the first statement only locks, the next ones read.
    """
    free = pairs_to_rank(candidates(labeler).filter(prompt_id=prompt_id)).order_by("pk")
    held = free.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True)
    locked = list(free.filter(pk__in=list(held)))
    had = RankingTask.objects.filter(labeler=labeler, prompt_id=prompt_id)
    if len(locked) < MIN_PAIRS or had.exclude(state=AssignmentState.EXPIRED).exists():
        return None
    shown = _shown(locked)
    pairs = [row for row in locked if row.response_a_id in shown and row.response_b_id in shown]
    end = lease_end(project, moment)
    places_take(labeler, pairs, AssignmentState.LEASED, moment, end)
    order = _order(labeler, shown)
    RankingTask.objects.update_or_create(
        labeler=labeler,
        prompt_id=prompt_id,
        defaults={
            "project": project,
            "state": AssignmentState.LEASED,
            "lease_expires_at": end,
            "opened_at": None,
            "finished_at": None,
            **_kept(labeler, prompt_id, order),
        },
    )
    tasks = RankingTask.objects.select_related("project", "prompt", "labeler")
    return tasks.get(labeler=labeler, prompt_id=prompt_id)


def _shown(pairs: Iterable[Comparison]) -> set[int]:
    """At most MAX_SHOWN responses, those of the pairs with the highest priority. Each stands in one of these pairs."""
    shown: set[int] = set()
    for pair in sorted(pairs, key=lambda row: (-row.priority, row.pk)):
        both = shown | {pair.response_a_id, pair.response_b_id}
        if len(both) <= MAX_SHOWN:
            shown = both
    return shown


def _order(labeler: Labeler, shown: Iterable[int]) -> list[int]:
    """The order on the screen: a stable hash, so that it tells nothing and stays the same."""
    return sorted(shown, key=lambda pk: hashlib.sha256(f"{labeler.uid}:{pk}".encode()).digest())


def _kept(labeler: Labeler, prompt_id: int, order: list[int]) -> dict[str, Any]:
    """The draft of an expired ranking stays where the same responses are shown again. With others it is another task:
    places that an old page sends are places among the old ones."""
    had = RankingTask.objects.filter(labeler=labeler, prompt_id=prompt_id, order=order)
    return {"order": order} if had.exists() else {"order": order, "draft": {}, "uid": uuid.uuid4()}


def places_take(
    labeler: Labeler,
    pairs: Sequence[Comparison],
    state: AssignmentState,
    moment: datetime,
    lease_expires_at: datetime,
) -> None:
    """A place of each of these pairs for this person. They are locked by the caller, have a place, and are not the
    person's; the database refuses what would give out one too many."""
    ids = [pair.pk for pair in pairs]
    Comparison.objects.filter(pk__in=ids).update(open_slots=F("open_slots") - 1)
    values: dict[str, Any] = {
        "state": state,
        "drawn": DrawnBy.RANKING,
        "lease_expires_at": lease_expires_at,
        "created_at": moment,
        "opened_at": None,
        "finished_at": None if state == AssignmentState.LEASED else moment,
    }
    own = Assignment.objects.filter(labeler=labeler, comparison_id__in=ids)
    had = list(own)
    own.update(**values)
    for lease in had:
        lease.lapses = lapses_of(lease)
    Assignment.objects.bulk_update([lease for lease in had if lease.lapses], ["lapses"])
    known = {lease.comparison_id for lease in had}
    Assignment.objects.bulk_create(
        Assignment(labeler=labeler, comparison=pair, swapped=is_swapped(labeler, pair.pk), **values)
        for pair in pairs
        if pair.pk not in known
    )
