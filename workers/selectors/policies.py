"""Reading retrain policies: how many labels are new, and when the schedule is next due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, Max, OuterRef
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from labeling.models import LABEL_OUTCOMES, Preference
from labeling.selectors.preferences import latest_revisions
from workers.models import RetrainPolicy


@dataclass(frozen=True)
class NewLabels:
    """`count` labels since the policy's mark, up to the preference `newest`."""

    count: int
    newest: int


def new_labels(policy: RetrainPolicy) -> NewLabels:
    """Labels that stand now and did not at the mark, one for each person and comparison.

    A changed mind is no new label; one given after a skip or an undo is, and one that was undone since is not.
    One query, which walks the preferences after the mark and looks each one's revisions up in an index.
    """
    mark = policy.last_triggered_preference_id
    own = Preference.objects.filter(
        comparison_id=OuterRef("comparison_id"), labeler_id=OuterRef("labeler_id"), pk__lte=mark
    )
    stood = latest_revisions(own, up_to=mark).filter(outcome__in=LABEL_OUTCOMES)
    since = Preference.objects.filter(project_id=policy.project_id, pk__gt=mark)
    new = latest_revisions(since).filter(~Exists(stood), outcome__in=LABEL_OUTCOMES)
    rows = new.aggregate(count=Count("pk"), newest=Max("pk"))
    return NewLabels(rows["count"], rows["newest"] or mark)


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
