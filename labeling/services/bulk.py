"""One deed on many items: those of a filter, frozen at the newest comparison that its preview saw.

Few are treated at once; more as a job, 1,000 at a time, which goes on behind the last chunk that was committed when it
is started again. Everything is checked once more under the lock: what has changed since the preview is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Case, F, OuterRef, Q, Subquery, TextChoices, Value, When
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from labeling.items.filters import ItemFilter, filter_from_json
from labeling.items.finding import items_chunks, items_found
from labeling.models import (
    PRIORITY_BY_HAND,
    Comparison,
    ComparisonState,
    ComparisonUse,
    ItemDeedKind,
    Project,
    Resolution,
)
from labeling.services.allocation import CHECK_NEEDED, slots_recount
from labeling.services.bookmark import bookmarks_void
from labeling.services.item_deeds import deeds_record
from labeling.services.review import disagreements_refresh
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
MOST_NEEDED = 50


class BulkAction(TextChoices):
    PRIORITY = "priority", _("Set the priority")
    PEOPLE = "people", _("Send to more people")
    GOLD = "gold", _("Use as gold")
    WORK = "work", _("Use for work again")
    RETIRE = "retire", _("Retire")
    RESTORE = "restore", _("Bring back from retirement")


TITLES = {
    BulkAction.PRIORITY: gettext_noop("Priority of many comparisons"),
    BulkAction.PEOPLE: gettext_noop("Many comparisons to more people"),
    BulkAction.GOLD: gettext_noop("Many comparisons as gold"),
    BulkAction.WORK: gettext_noop("Many comparisons for work again"),
    BulkAction.RETIRE: gettext_noop("Retiring many comparisons"),
    BulkAction.RESTORE: gettext_noop("Bringing many comparisons back"),
}


class BulkError(ValueError):
    """The deed cannot be done as asked; the message is for people."""

    permanent = True


@dataclass(frozen=True)
class Deed:
    """`value` is the priority, or how many more people; other actions take none."""

    action: BulkAction
    value: float = 0.0

    def __post_init__(self) -> None:
        if self.action == BulkAction.PRIORITY and not abs(self.value) <= 1_000_000:
            raise BulkError(str(_("A priority is a number between −1,000,000 and 1,000,000.")))
        if self.action == BulkAction.PEOPLE and self.value not in range(1, 21):
            raise BulkError(str(_("Choose 1 to 20 more people.")))


@dataclass(frozen=True)
class BulkPreview:
    """What a deed would do: `total` found, `fitting` of them treated. Counted up to COUNTED, then `is_capped`."""

    total: int
    fitting: int
    up_to: int
    why_left_out: str

    @property
    def left_out(self) -> int:
        return self.total - self.fitting

    @property
    def is_capped(self) -> bool:
        return self.total > COUNTED


@dataclass(frozen=True)
class _Rule:
    """Which comparisons a deed fits, why it does not fit the others, and the deed on rows that are locked."""

    fits: Q
    why_not: str | Promise
    apply: Callable[[Any, Project, float], None]


def _prioritize(rows: Any, _project: Project, value: float) -> None:
    rows.update(priority=value, priority_reason=PRIORITY_BY_HAND)


def _more_people(rows: Any, _project: Project, value: float) -> None:
    rows.update(needed=F("needed") + int(value), state=ComparisonState.OPEN)


def _make_gold(rows: Any, _project: Project, _value: float) -> None:
    adjudicated = Resolution.objects.filter(comparison=OuterRef("pk"), method="adjudicated").values("outcome")
    rows.filter(gold_outcome="").update(gold_outcome=Subquery(adjudicated))
    rows.update(use=ComparisonUse.GOLD, needed=CHECK_NEEDED, state=ComparisonState.OPEN, batch=None)


def _make_work(rows: Any, project: Project, _value: float) -> None:
    rows.update(use=ComparisonUse.WORK, needed=project.overlap)
    _settle(rows)


def _retire(rows: Any, _project: Project, _value: float) -> None:
    rows.update(state=ComparisonState.RETIRED)


def _settle(rows: Any, _project: Project | None = None, _value: float = 0.0) -> None:
    """Done where the labels are there, else open."""
    full = When(label_count__gte=F("needed"), then=Value(ComparisonState.DONE.value))
    rows.update(state=Case(full, default=Value(ComparisonState.OPEN.value)))


RULES = {
    BulkAction.PRIORITY: _Rule(Q(), "", _prioritize),
    BulkAction.PEOPLE: _Rule(
        Q(use="work", needed__lt=MOST_NEEDED) & ~Q(state="retired"),
        _("retired, used to check on people, or at 50 labels already"),
        _more_people,
    ),
    BulkAction.GOLD: _Rule(
        ~Q(state="retired") & ~Q(use="gold") & (~Q(gold_outcome="") | Q(resolution__method="adjudicated")),
        _("retired, gold already, or without a known outcome: adjudicate it first"),
        _make_gold,
    ),
    BulkAction.WORK: _Rule(~Q(use="work") & ~Q(state="retired"), _("used for work, or retired"), _make_work),
    BulkAction.RETIRE: _Rule(~Q(state="retired"), _("retired already"), _retire),
    BulkAction.RESTORE: _Rule(Q(state="retired"), _("not retired"), _settle),
}


def bulk_preview(*, project: Project, wanted: ItemFilter, deed: Deed) -> BulkPreview:
    """Two counts, each of at most COUNTED + 1 rows."""
    newest = (
        Comparison.objects.filter(project=project).order_by("-pk").values_list("pk", flat=True).first() or 0
    )
    found = items_found(project, wanted)
    rule = RULES[deed.action]
    total = found[: COUNTED + 1].count()
    fitting = found.filter(rule.fits)[: COUNTED + 1].count()
    return BulkPreview(total, fitting, newest, str(rule.why_not))


@transaction.atomic
def items_bulk(
    *, project: Project, wanted: ItemFilter, deed: Deed, up_to: int, actor: User | None
) -> tuple[int, Job | None]:
    """Do it: at once where the filter finds few, else by a job. Returns how many were treated, and the job."""
    some = items_found(project, wanted).filter(pk__lte=up_to).values_list("pk", flat=True)
    ids = sorted(some[: AT_ONCE + 1])
    count, job = 0, None
    if len(ids) <= AT_ONCE:
        count = _treat(project, deed, ids, actor)
        bookmarks_void(project.pk)
    else:
        job = job_enqueue(
            kind="items.bulk",
            params={
                "filter": wanted.to_json(),
                "action": deed.action.value,
                "value": deed.value,
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
        up_to=up_to,
        count=None if job else count,
    )
    return count, job


def bulk_execute(context: JobContext) -> dict[str, Any]:
    """Handler of `items.bulk`. The place it has come to is written in the transaction of the chunk before it."""
    project = Project.objects.filter(pk=context.job.project_id or 0).first()
    if project is None:
        raise PermanentJobError(message(gettext_noop("The project was deleted.")))
    params, so_far = context.params, context.job.metrics
    wanted, deed = filter_from_json(params["filter"]), Deed(BulkAction(params["action"]), params["value"])
    seen, treated = so_far.get("seen", 0), so_far.get("treated", 0)
    total = (
        items_found(project, wanted).filter(pk__lte=params["up_to"], pk__gt=so_far.get("last", 0)).count()
        + seen
    )
    words = message(gettext_noop("comparisons looked at"))
    for ids in items_chunks(project, wanted, above=so_far.get("last", 0), up_to=params["up_to"]):
        with context.guarded():
            treated += _treat(project, deed, ids, context.job.created_by)
            seen += len(ids)
            context.metric(last=ids[-1], seen=seen, treated=treated)
            context.write(force=True)
        context.checkpointed()
        context.progress(seen, max(total, seen), words)
    with context.guarded():
        bookmarks_void(project.pk)
    return {"treated": treated, "left_out": seen - treated}


def _treat(project: Project, deed: Deed, ids: Sequence[int], actor: User | None) -> int:
    """The deed on those of these comparisons that it fits, locked in id order. Returns how many."""
    rule = RULES[deed.action]
    locked = Comparison.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=ids).order_by("pk")
    list(locked.values_list("pk", flat=True))
    fitting = list(Comparison.objects.filter(rule.fits, pk__in=ids).values_list("pk", flat=True))
    rows = Comparison.objects.filter(pk__in=fitting)
    rule.apply(rows, project, deed.value)
    slots_recount(rows)
    disagreements_refresh(fitting)
    value = deed.value if deed.action in (BulkAction.PRIORITY, BulkAction.PEOPLE) else None
    deeds_record(fitting, kind=ItemDeedKind(deed.action.value), actor=actor, value=value)
    return len(fitting)
