"""Retrain policies: saving one, and starting runs when it says so. Each trigger is one conditional update."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from labeling.models import Project
from webapp.audit.services import record
from webapp.users.models import User
from workers.errors import BadTrainingConfig, NotEnoughLabels, TrainingBusy
from workers.models import RetrainPolicy, RunTrigger
from workers.selectors.policies import new_labels
from workers.services.training import (
    check_snapshot_config,
    checked_config,
    resolve_config,
    runs_settle,
    training_start,
)

logger = logging.getLogger(__name__)
CRON_TASK = "workers.retrain_policy"
FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


def read_cron(line: str) -> dict[str, str]:
    """The five fields of a cron line, checked. Raises ValidationError."""
    parts = line.split()
    if len(parts) != len(FIELDS):
        raise ValidationError(_("A schedule has five fields: minute hour day month weekday."))
    values = dict(zip(FIELDS, parts, strict=True))
    try:
        CrontabSchedule(**values).full_clean(exclude=["timezone"], validate_unique=False)
    except ValidationError as error:
        raise ValidationError(
            _("This schedule cannot be read: %(why)s") % {"why": " ".join(error.messages)}
        ) from error
    return values


def policy_save(*, project: Project, values: dict[str, Any], user: User | None) -> RetrainPolicy:
    """Create or change the project's policy and its entry in the beat's table, in one transaction.

    `values` are fields of RetrainPolicy. Turning the label trigger on, or changing its number, starts
    counting from now. Raises ValidationError.
    """
    _check(project, values)
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        policy, created = RetrainPolicy.objects.get_or_create(project=project)
        was = (policy.is_enabled, policy.every_n_labels)
        for name, value in values.items():
            setattr(policy, name, value)
        policy.full_clean(exclude=["project"])
        if created or (policy.is_enabled, policy.every_n_labels) != was:
            policy.last_triggered_preference_id = _newest_preference(project)
        policy.save()
        _sync_schedule(policy)
        record(
            action="retrain_policy.save",
            subject=str(project),
            actor=user,
            project_id=project.pk,
            is_enabled=policy.is_enabled,
            every_n_labels=policy.every_n_labels,
            cron=policy.cron,
        )
    return policy


def _check(project: Project, values: dict[str, Any]) -> None:
    problems: dict[str, list[str]] = {}
    try:
        if values.get("cron"):
            read_cron(values["cron"])
    except ValidationError as error:
        problems["cron"] = error.messages
    try:
        kind, config = values.get("kind") or "starter", values.get("config") or {}
        if values.get("is_enabled"):
            checked_config(project, kind, config)
        else:  # what it names may be gone by now
            resolve_config(kind, config)
        check_snapshot_config(values.get("snapshot_config") or {})
    except BadTrainingConfig as error:
        problems["config"] = [str(error)]
    if values.get("is_enabled") and not values.get("cron") and not values.get("every_n_labels"):
        problems["is_enabled"] = [_("Say when: after how many labels, or by which schedule.")]
    if problems:
        raise ValidationError(problems)


def _newest_preference(project: Project) -> int:
    return project.preferences.order_by("-pk").values_list("pk", flat=True).first() or 0


def schedule_name(project_id: int) -> str:
    return f"{CRON_TASK}:{project_id}"


def _sync_schedule(policy: RetrainPolicy) -> None:
    """One PeriodicTask for a policy with a cron line; none for one without."""
    name = schedule_name(policy.project_id)
    if not policy.cron:
        PeriodicTask.objects.filter(name=name).delete()
        return
    crontab = CrontabSchedule.objects.filter(
        **read_cron(policy.cron), timezone=timezone.get_default_timezone_name()
    ).first() or CrontabSchedule.objects.create(
        **read_cron(policy.cron), timezone=timezone.get_default_timezone_name()
    )
    PeriodicTask.objects.update_or_create(
        name=name,
        defaults={
            "task": CRON_TASK,
            "crontab": crontab,
            "kwargs": json.dumps({"project_id": policy.project_id}),
            "enabled": policy.is_enabled,
        },
    )


def policies_tick() -> int:
    """Start a run for every policy whose project has enough new labels. Returns how many were started."""
    runs_settle()
    policies = RetrainPolicy.objects.filter(is_enabled=True, every_n_labels__isnull=False)
    return sum(policy_labels(policy) for policy in policies.select_related("project").order_by("pk"))


def policy_labels(policy: RetrainPolicy) -> bool:
    """Start a run if `every_n_labels` new ones came. A busy project keeps its count and is asked again
    later."""
    counted = new_labels(policy)
    if policy.every_n_labels is None or counted.count < policy.every_n_labels:
        return False
    # Whoever moves the mark starts the run: a second beat finds it moved. A refusal moves it back.
    rows = RetrainPolicy.objects.filter(
        pk=policy.pk, is_enabled=True, last_triggered_preference_id=policy.last_triggered_preference_id
    )
    return _start(policy, rows, {"last_triggered_preference_id": counted.newest}, RunTrigger.LABELS)


def policy_cron(project_id: int, *, now: datetime | None = None) -> bool:
    """Start the scheduled run of a project, once a minute at most. A schedule without policy is removed."""
    minute = (now or timezone.now()).replace(second=0, microsecond=0)
    policy = RetrainPolicy.objects.filter(project_id=project_id).select_related("project").first()
    if policy is None:
        PeriodicTask.objects.filter(name=schedule_name(project_id)).delete()
        return False
    rows = RetrainPolicy.objects.filter(
        Q(last_cron_at__isnull=True) | Q(last_cron_at__lt=minute), pk=policy.pk
    )
    rows = rows.filter(is_enabled=True).exclude(cron="")
    values = {"last_cron_at": minute, "last_triggered_preference_id": _newest_preference(policy.project)}
    return _start(policy, rows, values, RunTrigger.CRON)


def _start(policy: RetrainPolicy, rows: Any, values: dict[str, Any], trigger: RunTrigger) -> bool:
    """Move the policy's mark and start the run, both or neither."""
    try:
        with transaction.atomic():
            if not rows.update(**values):
                return False
            training_start(
                project=policy.project,
                kind=policy.kind,
                config=policy.config,
                snapshot_config=policy.snapshot_config,
                trigger=trigger,
            )
            return True
    except (TrainingBusy, NotEnoughLabels, BadTrainingConfig) as error:
        logger.info("retrain policy of project %d starts nothing: %s", policy.project_id, error)
        return False
