"""How far a project is: comparisons, labels, days. Counted by the database, over indexes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from labeling.models import (
    LABEL_OUTCOMES,
    Comparison,
    ComparisonState,
    ComparisonUse,
    Preference,
    Project,
    Resolution,
)
from labeling.selectors.preferences import latest_revisions


@dataclass(frozen=True)
class Progress:
    """Comparisons by state (`total` leaves retired ones out), labels that stand, skips, and disputes."""

    total: int
    open: int
    done: int
    review: int
    retired: int
    labels: int
    labels_today: int
    skipped: int
    disputed: int


def project_progress(project: Project) -> Progress:
    """Three queries. `labels` is the sum of the comparisons' own counts, which withdrawals lower again; those of gold
    and qualification are in it, these comparisons themselves, which are never done, in no other count."""
    states, work = ComparisonState, Q(use=ComparisonUse.WORK)
    counts = Comparison.objects.filter(project=project).aggregate(
        total=Count("pk", filter=~Q(state=states.RETIRED) & work),
        labels=Sum("label_count"),
        skipped=Sum("skip_count"),
        **{state.value: Count("pk", filter=Q(state=state) & work) for state in states},
    )
    today = labels_by_day(project, days=1)[-1][1]
    return Progress(
        total=counts["total"],
        open=counts[states.OPEN],
        done=counts[states.DONE],
        review=counts[states.REVIEW],
        retired=counts[states.RETIRED],
        labels=counts["labels"] or 0,
        labels_today=today,
        skipped=counts["skipped"] or 0,
        disputed=Resolution.objects.filter(project=project, is_disputed=True).count(),
    )


def labels_by_day(project: Project, *, days: int = 30) -> list[tuple[date, int]]:
    """(day, labels given on it that still stand) for the last `days` days, today last, days without labels
    too.
    """
    today = timezone.localdate()
    first = today - timedelta(days=days - 1)
    start = timezone.make_aware(datetime.combine(first, time.min))
    recent = Preference.objects.filter(project=project, created_at__gte=start)
    counted = dict(
        latest_revisions(recent)
        .filter(outcome__in=LABEL_OUTCOMES)
        .annotate(day=TruncDate("created_at"))
        .order_by("day")
        .values_list("day")
        .annotate(labels=Count("pk"))
    )
    return [(day, counted.get(day, 0)) for day in (first + timedelta(days=number) for number in range(days))]
