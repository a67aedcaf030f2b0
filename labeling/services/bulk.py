"""One deed on many items: those of a filter, frozen at the newest comparison that its preview saw.

Few are treated at once; more as a job, 1,000 at a time, which goes on behind the last chunk that was committed when it
is started again. Everything is looked at once more under the lock: what no longer meets the filter, or the deed no
longer fits, is left alone; what came to meet it since the preview is treated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from labeling.items.filters import ItemFilter, filter_from_json
from labeling.items.finding import items_among, items_chunks, items_found
from labeling.models import Batch, Comparison, ItemDeedKind, Labeler, Project
from labeling.selectors.reveals import responses_in_hand
from labeling.services.allocation import slots_recount
from labeling.services.batches import batch_create
from labeling.services.bookmark import bookmarks_void
from labeling.services.bulk_deeds import RULES, TELLS_NOTHING, TITLES, BulkAction, Deed, open_batch
from labeling.services.item_deeds import deeds_record
from labeling.services.review import disagreements_refresh
from labeling.services.standing import settled_stay
from webapp.audit.services import record
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.messages import message
from webapp.jobs.models import Job
from webapp.jobs.services import job_enqueue
from webapp.users.models import User

if TYPE_CHECKING:
    from webapp.jobs.context import JobContext

AT_ONCE = 200
COUNTED = 100_000


@dataclass(frozen=True)
class BulkPreview:
    """What a deed would do: `total` found, `fitting` of them treated. Counted up to COUNTED, then `is_capped`.
    `leaves_in_hand`: the viewer is being asked about some responses, whose comparisons are not among them."""

    total: int
    fitting: int
    up_to: int
    why_left_out: str
    leaves_in_hand: bool

    @property
    def left_out(self) -> int:
        return self.total - self.fitting

    @property
    def is_capped(self) -> bool:
        return self.total > COUNTED


def bulk_preview(
    *, project: Project, wanted: ItemFilter, deed: Deed, viewer: User | None = None
) -> BulkPreview:
    """Two counts, each of at most COUNTED + 1 rows."""
    newest = (
        Comparison.objects.filter(project=project).order_by("-pk").values_list("pk", flat=True).first() or 0
    )
    in_hand = _in_hand(project, wanted, deed, viewer)
    found = items_found(project, wanted, hidden=in_hand)
    rule = RULES[deed.action]
    total = found[: COUNTED + 1].count()
    fitting = found.filter(rule.fits)[: COUNTED + 1].count()
    return BulkPreview(total, fitting, newest, str(rule.why_not), bool(in_hand))


def _in_hand(project: Project, wanted: ItemFilter, deed: Deed, person: User | None) -> set[int]:
    """The responses whose comparisons a deed of this person leaves alone: those that the person is being asked about,
    where the number of what was found or changed could tell what others say of them, or what is gold."""
    tells = wanted.tells or deed.action not in TELLS_NOTHING
    return responses_in_hand(person, project) if person is not None and tells else set()


@transaction.atomic
def items_bulk(
    *, project: Project, wanted: ItemFilter, deed: Deed, up_to: int, actor: User | None
) -> tuple[int, Job | None]:
    """Do it: at once where the filter finds few, else by a job. Returns how many were treated, and the job.

    Raises BulkError where the batch of the deed is not open.
    """
    if deed.action == BulkAction.BATCH:
        open_batch(project, deed)
    found = items_found(project, wanted, hidden=_in_hand(project, wanted, deed, actor))
    ids = sorted(found.filter(pk__lte=up_to).values_list("pk", flat=True)[: AT_ONCE + 1])
    count, job = 0, None
    if len(ids) <= AT_ONCE:
        bookmarks_void(project.pk)
        count = _treat(project, wanted, deed, ids, actor)
    else:
        job = job_enqueue(
            kind="items.bulk",
            params={
                "filter": wanted.to_json(),
                "action": deed.action.value,
                "value": deed.value,
                "batch": deed.batch,
                "up_to": up_to,
            },
            project_id=project.pk,
            title=message(TITLES[deed.action]),
            created_by=actor,
        )
    record(
        action="items.bulk",
        subject=deed.action.value,
        actor=actor,
        project_id=project.pk,
        filter=wanted.to_json(),
        value=deed.value,
        batch=deed.batch or None,
        up_to=up_to,
        count=None if job else count,
    )
    return count, job


@transaction.atomic
def items_into_new_batch(
    *,
    project: Project,
    wanted: ItemFilter,
    up_to: int,
    name: str,
    people: Sequence[Labeler],
    deadline: datetime | None,
    actor: User,
) -> tuple[Batch, int, Job | None]:
    """Make a batch and put what the filter finds into it. Returns the batch, and what `items_bulk` does.

    Raises ValidationError by field, as `batch_create`; also where nothing is left that fits: no batch is made then.
    """
    batch = batch_create(
        project=project, name=name, people=people, deadline=deadline, choice=None, actor=actor
    )
    deed = Deed(BulkAction.BATCH, batch=batch.pk)
    count, job = items_bulk(project=project, wanted=wanted, deed=deed, up_to=up_to, actor=actor)
    if not count and job is None:
        raise ValidationError(_("No comparison is left that can be put into a batch."))
    return batch, count, job


def bulk_execute(context: JobContext) -> dict[str, Any]:
    """Handler of `items.bulk`. The place it has come to is written in the transaction of the chunk before it."""
    project = Project.objects.filter(pk=context.job.project_id or 0).first()
    if project is None:
        raise PermanentJobError(message(gettext_noop("The project was deleted.")))
    params, so_far = context.params, context.job.metrics
    wanted = filter_from_json(params["filter"])
    deed = Deed(BulkAction(params["action"]), params["value"], params.get("batch", 0))
    seen, treated, last = so_far.get("seen", 0), so_far.get("treated", 0), so_far.get("last", 0)
    in_hand = _in_hand(project, wanted, deed, context.job.created_by)
    found = items_found(project, wanted, hidden=in_hand)
    total = found.filter(pk__lte=params["up_to"], pk__gt=last).count() + seen
    words = message(gettext_noop("comparisons looked at"))
    for ids in items_chunks(project, wanted, above=last, up_to=params["up_to"], hidden=in_hand):
        with context.guarded():
            bookmarks_void(project.pk)
            treated += _treat(project, wanted, deed, ids, context.job.created_by)
            seen += len(ids)
            context.metric(last=ids[-1], seen=seen, treated=treated)
            context.write(force=True)
        context.checkpointed()
        context.progress(seen, max(total, seen), words)
    return {"treated": treated, "left_out": seen - treated}


def _treat(project: Project, wanted: ItemFilter, deed: Deed, ids: Sequence[int], actor: User | None) -> int:
    """The deed on those of these comparisons that still meet the filter and that it fits, locked in id order. Returns
    how many."""
    rule = RULES[deed.action]
    locked = Comparison.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=ids).order_by("pk")
    list(locked.values_list("pk", flat=True))
    fitting = list(items_among(project, wanted, ids).filter(rule.fits).values_list("pk", flat=True))
    rows = Comparison.objects.filter(pk__in=fitting)
    rule.apply(rows, project, deed)
    slots_recount(rows)
    settled_stay(fitting)
    disagreements_refresh(fitting)
    value = deed.value if deed.action in (BulkAction.PRIORITY, BulkAction.PEOPLE) else None
    name = open_batch(project, deed).name if deed.action == BulkAction.BATCH else ""
    deeds_record(fitting, kind=ItemDeedKind(deed.action.value), actor=actor, value=value, text=name)
    return len(fitting)
