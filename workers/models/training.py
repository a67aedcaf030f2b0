"""Training runs and their live figures."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from labeling.models import Project, Snapshot
from webapp.jobs.messages import MessageField
from workers.models.reward_models import ModelKind, RewardModel


class RunStage(models.TextChoices):
    SNAPSHOT = "snapshot", _("snapshot")
    TRAIN = "train", _("train")
    EVALUATE = "evaluate", _("evaluate")
    GATE = "gate", _("gate")
    SCORE = "score", pgettext_lazy("stage", "score")
    DONE = "done", _("done")


class RunState(models.TextChoices):
    ACTIVE = "active", _("running")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


class RunTrigger(models.TextChoices):
    MANUAL = "manual", _("by hand")
    LABELS = "labels", _("new labels")
    CRON = "cron", _("schedule")


class TrainingRun(models.Model):
    """One walk from labels to a scored queue. `stage` is the next thing to do; it moves forward only.

    The job behind `job_uid` does the work and is the truth about progress; `state` says whether the run still
    holds its project's one place for training.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="training_runs")
    kind = models.CharField(_("kind"), max_length=12, choices=ModelKind)
    config = models.JSONField(_("settings"), default=dict)
    # Empty means the defaults of workers.services.defaults.
    snapshot_config = models.JSONField(_("settings of the snapshot"), default=dict, blank=True)
    gate_rules = models.JSONField(_("rules of the gate"), default=dict, blank=True)
    stage = models.CharField(_("stage"), max_length=10, choices=RunStage, default=RunStage.SNAPSHOT)
    state = models.CharField(_("state"), max_length=10, choices=RunState, default=RunState.ACTIVE)
    trigger = models.CharField(_("started by"), max_length=10, choices=RunTrigger, default=RunTrigger.MANUAL)
    job_uid = models.UUIDField(null=True, blank=True, unique=True)
    snapshot = models.ForeignKey(
        Snapshot, null=True, blank=True, on_delete=models.SET_NULL, related_name="training_runs"
    )
    reward_model = models.OneToOneField(
        RewardModel, null=True, blank=True, on_delete=models.SET_NULL, related_name="run"
    )
    counts = models.JSONField(_("counts"), default=dict)
    timings = models.JSONField(_("seconds by stage"), default=dict)
    error = MessageField(_("error"), blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("training run")
        verbose_name_plural = _("training runs")
        constraints = [
            models.UniqueConstraint(
                fields=["project"], condition=Q(state="active"), name="training_run_one_active"
            ),
            models.CheckConstraint(condition=Q(state__in=RunState.values), name="training_run_state_known"),
            models.CheckConstraint(condition=Q(stage__in=RunStage.values), name="training_run_stage_known"),
        ]
        indexes = [models.Index(fields=["project", "-id"], name="training_run_project")]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def is_active(self) -> bool:
        return self.state == RunState.ACTIVE


class RunMetric(models.Model):
    """Live figures of one step: {"loss": 0.61, "accuracy": 0.7, ...}."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="metrics")
    step = models.PositiveIntegerField(_("step"))
    values = models.JSONField(_("figures"))

    class Meta:
        ordering = ["step", "id"]
        verbose_name = _("figures of a step")
        verbose_name_plural = _("figures of steps")
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="run_metric_step_once")]

    def __str__(self) -> str:
        return f"{self.run_id}:{self.step}"
