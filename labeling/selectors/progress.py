"""How far a project is: comparisons, labels, days. Counted by the database, over indexes where there is one, and kept
for as long as counting again would be dear.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from labeling.models import LABEL_OUTCOMES, Comparison, ComparisonState, Preference, Project, Resolution
from labeling.selectors.figures import kept_counts, kept_figure
from labeling.selectors.preferences import latest_revisions


@dataclass(frozen=True)
class Counts:
    """Comparisons by state; `total` leaves retired ones out. Gold and qualification, which are never done, are in none
    of them."""

    total: int = 0
    open: int = 0
    done: int = 0
    review: int = 0
    retired: int = 0

    @property
    def percent(self) -> int:
        return int(100 * self.done / self.total) if self.total else 0


@dataclass(frozen=True)
class Progress:
    """Comparisons as in `Counts`, labels that stand, skips, and disputes."""

    total: int
    open: int
    done: int
    review: int
    retired: int
    labels: int
    labels_today: int
    skipped: int
    disputed: int


def comparison_counts(project_ids: Collection[int], *, max_age_s: float = 0.0) -> dict[int, Counts]:
    """By project, up to `max_age_s` old. Two queries for all that are not kept, however many."""
    return kept_counts("comparisons", project_ids, _counted, max_age_s=max_age_s)


def _counted(project_ids: list[int]) -> dict[int, Counts]:
    """Both queries read an index alone: all comparisons by state, less the few that check on people."""
    rows = Comparison.objects.filter(project__in=project_ids).order_by()
    checks = rows.filter(~Q(use="work"))
    states: dict[int, Counter[str]] = {pk: Counter() for pk in project_ids}
    for sign, queryset in ((1, rows), (-1, checks)):
        for pk, state, n in queryset.values_list("project_id", "state").annotate(n=Count("pk")):
            states[pk][state] += sign * n
    return {
        pk: Counts(total=sum(by_state.values()) - by_state[ComparisonState.RETIRED], **by_state)
        for pk, by_state in states.items()
    }


def project_progress(project: Project) -> Progress:
    """Six queries where nothing is kept. `labels` is the sum of the comparisons' own counts, which withdrawals lower
    again; those of gold and qualification are in it."""
    return kept_counts("progress", [project.pk], lambda _ids: {project.pk: _progress(project)})[project.pk]


def _progress(project: Project) -> Progress:
    sums = Comparison.objects.filter(project=project).aggregate(
        labels=Sum("label_count"), skipped=Sum("skip_count")
    )
    return Progress(
        **vars(comparison_counts([project.pk])[project.pk]),
        labels=sums["labels"] or 0,
        labels_today=labels_by_day(project, days=1)[-1][1],
        skipped=sums["skipped"] or 0,
        disputed=Resolution.objects.filter(project=project, is_disputed=True).count(),
    )


def labels_by_day(project: Project, *, days: int = 30) -> list[tuple[date, int]]:
    """(day, labels given on it that still stand) for the last `days` days, today last, days without labels
    too. One query more while there is a newer preference.
    """
    today = timezone.localdate()
    return kept_figure(f"days-{days}", project, lambda: _labels_by_day(project, today, days), version=today)


def _labels_by_day(project: Project, today: date, days: int) -> list[tuple[date, int]]:
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
