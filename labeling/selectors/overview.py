"""Counts for the home page and a project's overview."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, QuerySet
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from labeling.access import AnyUser, Capability
from labeling.models import DisagreementKind, Membership, Project, Role
from labeling.selectors.agreement import project_agreement
from labeling.selectors.progress import comparison_counts, labels_by_day, project_progress
from labeling.selectors.review import queue_counts
from webapp.jobs.models import ACTIVE_STATES, Job
from webapp.ui.charts import bar_chart, day_label

DAYS = 14


@dataclass(frozen=True)
class HomeRow:
    project: Project
    role: Role
    total: int
    open: int
    running_jobs: int

    @property
    def done(self) -> int:
        return self.total - self.open

    @property
    def may_view(self) -> bool:
        return self.role in Capability.VIEW.value

    @property
    def may_label(self) -> bool:
        return self.role in Capability.LABEL.value

    @property
    def may_manage(self) -> bool:
        return self.role in Capability.MANAGE.value


def home_rows(user: AnyUser, projects: QuerySet[Project]) -> list[HomeRow]:
    """One row for each project of the person, in five queries however many there are."""
    found = list(projects)
    roles = dict(
        Membership.objects.filter(user_id=user.pk or 0, project__in=found).values_list("project_id", "role")
    )
    counts = comparison_counts([project.pk for project in found])
    jobs = _running_jobs(project.pk for project in found)
    return [
        HomeRow(
            project=project,
            role=Role(roles.get(project.pk, Role.MANAGER)),
            total=counts[project.pk].total,
            open=counts[project.pk].open,
            running_jobs=jobs.get(project.pk, 0),
        )
        for project in found
    ]


def _running_jobs(project_ids: Iterable[int]) -> dict[int, int]:
    rows = Job.objects.filter(project_id__in=list(project_ids), state__in=ACTIVE_STATES)
    return dict(rows.values_list("project_id").annotate(n=Count("id")))


@dataclass(frozen=True)
class Overview:
    total: int
    open: int
    labels: int
    labels_today: int
    people_agreement: float | None
    people_low: float | None
    people_high: float | None
    disputed: int
    in_review: int
    days: list[tuple[str, int]]
    days_chart: SafeString


def project_overview(project: Project) -> Overview:
    progress = project_progress(project)
    agreement = project_agreement(project)
    waiting = queue_counts(project)
    days = [(day_label(day), count) for day, count in labels_by_day(project, days=DAYS)]
    pairwise = agreement.pairwise
    return Overview(
        total=progress.total,
        open=progress.open,
        labels=progress.labels,
        labels_today=progress.labels_today,
        people_agreement=pairwise.value if pairwise else None,
        people_low=pairwise.low if pairwise else None,
        people_high=pairwise.high if pairwise else None,
        disputed=waiting.get(DisagreementKind.PEOPLE, 0),
        in_review=waiting.get(DisagreementKind.SKIPPED, 0),
        days=days,
        days_chart=bar_chart(days, title=_("Labels for each day")),
    )
