"""Reading retrain policies: how many labels are new, and when the schedule is next due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from labeling.models import LABEL_OUTCOMES, Preference
from workers.models import RetrainPolicy


@dataclass(frozen=True)
class NewLabels:
    """`count` labels since the policy's mark, up to the preference `newest`."""

    count: int
    newest: int


def new_labels(policy: RetrainPolicy) -> NewLabels:
    """First-revision labels after the mark: a changed mind or an undo is not a new label. One indexed
    query."""
    rows = Preference.objects.filter(
        project_id=policy.project_id,
        pk__gt=policy.last_triggered_preference_id,
        outcome__in=LABEL_OUTCOMES,
        revision=1,
    ).aggregate(count=Count("pk"), newest=Max("pk"))
    return NewLabels(rows["count"], rows["newest"] or policy.last_triggered_preference_id)


def next_due(policy: RetrainPolicy, *, now: datetime | None = None) -> datetime | None:
    """When the cron line is next due, or None without one or while the policy is off."""
    if not (policy.is_enabled and policy.cron):
        return None
    task = (
        PeriodicTask.objects.filter(
            task="workers.retrain_policy", name=f"workers.retrain_policy:{policy.project_id}"
        )
        .select_related("crontab")
        .first()
    )
    if task is None or task.crontab is None:
        return None
    moment = now or timezone.now()
    last, ahead, _now = task.crontab.schedule.remaining_delta(moment)
    due: datetime = last + ahead
    return due
