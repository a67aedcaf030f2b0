"""The deeds of bulk actions: which comparisons each fits, why it does not fit the others, and what it does to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import F, OuterRef, Q, Subquery, TextChoices
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from labeling.models import (
    PRIORITY_BY_HAND,
    Batch,
    ComparisonState,
    ComparisonUse,
    Project,
    Resolution,
)
from labeling.services.draws import CHECK_NEEDED
from labeling.services.resolution import ADJUDICATED
from labeling.services.standing import IS_ADJUDICATED, states_settle

MOST_NEEDED = 50


class BulkAction(TextChoices):
    PRIORITY = "priority", _("Set the priority")
    PEOPLE = "people", _("Send to more people")
    BATCH = "batch", _("Put into a batch")
    GOLD = "gold", _("Use as gold")
    WORK = "work", _("Use for work again")
    RETIRE = "retire", _("Retire")
    RESTORE = "restore", _("Bring back from retirement")


TITLES = {
    BulkAction.PRIORITY: gettext_noop("Priority of many comparisons"),
    BulkAction.PEOPLE: gettext_noop("Many comparisons to more people"),
    BulkAction.BATCH: gettext_noop("Many comparisons into a batch"),
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
    """`value` is the priority, or how many more people; `batch` the key of the batch, 0 while it is not chosen yet."""

    action: BulkAction
    value: float = 0.0
    batch: int = 0

    def __post_init__(self) -> None:
        if self.action == BulkAction.PRIORITY and not abs(self.value) <= 1_000_000:
            raise BulkError(str(_("A priority is a number between −1,000,000 and 1,000,000.")))
        if self.action == BulkAction.PEOPLE and self.value not in range(1, 21):
            raise BulkError(str(_("Choose 1 to 20 more people.")))


@dataclass(frozen=True)
class Rule:
    """Which comparisons a deed fits, why it does not fit the others, and the deed on rows that are locked."""

    fits: Q
    why_not: str | Promise
    apply: Callable[[Any, Project, Deed], None]


def _prioritize(rows: Any, _project: Project, deed: Deed) -> None:
    rows.update(priority=deed.value, priority_reason=PRIORITY_BY_HAND)


def _more_people(rows: Any, _project: Project, deed: Deed) -> None:
    # Skips until now belong to those who were asked until now.
    rows.update(needed=F("needed") + int(deed.value), skip_count=0, state=ComparisonState.OPEN)


def _into_batch(rows: Any, project: Project, deed: Deed) -> None:
    rows.update(batch=open_batch(project, deed))


def open_batch(project: Project, deed: Deed) -> Batch:
    """The batch of the deed. Raises BulkError where it is closed or gone."""
    batch = Batch.objects.filter(pk=deed.batch, project=project, closed_at__isnull=True).first()
    if batch is None:
        raise BulkError(str(_("This batch is closed or gone. Choose another one.")))
    return batch


def _make_gold(rows: Any, _project: Project, _deed: Deed) -> None:
    adjudicated = Resolution.objects.filter(comparison=OuterRef("pk"), method=ADJUDICATED).values("outcome")
    rows.filter(IS_ADJUDICATED).update(gold_outcome=Subquery(adjudicated))
    rows.update(use=ComparisonUse.GOLD, needed=CHECK_NEEDED, state=ComparisonState.OPEN, batch=None)


def _make_work(rows: Any, project: Project, _deed: Deed) -> None:
    overlap = Project.objects.filter(pk=project.pk).values("overlap")  # the present one: a job may take long
    rows.update(use=ComparisonUse.WORK, needed=Subquery(overlap))
    states_settle(rows, skip_limit=project.skip_limit)


def _retire(rows: Any, _project: Project, _deed: Deed) -> None:
    rows.update(state=ComparisonState.RETIRED)


def _restore(rows: Any, project: Project, _deed: Deed) -> None:
    states_settle(rows, skip_limit=project.skip_limit)


# Deeds of which that they fit tells nothing that is hidden from labelers.
TELLS_NOTHING = (BulkAction.PRIORITY, BulkAction.RETIRE, BulkAction.RESTORE)
RULES = {
    BulkAction.PRIORITY: Rule(Q(), "", _prioritize),
    BulkAction.PEOPLE: Rule(
        Q(use="work", needed__lt=MOST_NEEDED) & ~Q(state="retired") & ~IS_ADJUDICATED,
        _("retired, settled by a reviewer, used to check on people, or at 50 labels already"),
        _more_people,
    ),
    BulkAction.BATCH: Rule(
        Q(state="open", use="work", batch__isnull=True),
        _("not open, used to check on people, or in a batch already"),
        _into_batch,
    ),
    BulkAction.GOLD: Rule(
        ~Q(state="retired") & ~Q(use="gold") & (~Q(gold_outcome="") | IS_ADJUDICATED),
        _("retired, gold already, or without a known outcome: adjudicate it first"),
        _make_gold,
    ),
    BulkAction.WORK: Rule(~Q(use="work") & ~Q(state="retired"), _("used for work, or retired"), _make_work),
    BulkAction.RETIRE: Rule(~Q(state="retired"), _("retired already"), _retire),
    # A rewrite that was taken back needs no label and has none.
    BulkAction.RESTORE: Rule(
        Q(state="retired") & ~Q(needed=0, label_count=0),
        _("not retired, or a rewrite that its author took back"),
        _restore,
    ),
}
