"""Reward models (trained versions), their evaluations, and the decisions that made champions."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models import Project, Snapshot

# The split that figures are measured on.
HELD_OUT = "test"


class ModelKind(models.TextChoices):
    STARTER = "starter", _("starter (linear, n-grams)")
    EMBEDDING = "embedding", _("head on a frozen base model")
    TRANSFORMER = "transformer", _("transformer")
    # Scorers whose weights are given: a run fits their temperature and nothing else.
    DPO = "dpo", _("DPO policy")
    PERPLEXITY = "perplexity", _("perplexity of a language model")
    PAIR = "pair", _("pair model")
    GENERATIVE = "generative", _("verdicts of a judge")
    LONGEST = "longest", _("longest wins")
    RANDOM = "random", _("random")


class ModelState(models.TextChoices):
    CANDIDATE = "candidate", _("candidate")
    CHAMPION = "champion", _("champion")
    RETIRED = "retired", _("retired")
    REJECTED = "rejected", _("rejected")


class RewardModel(models.Model):
    """One trained version. `path` is relative to the data folder; `manifest_hash` is the SHA-256 of its
    manifest.

    Only `workers.services.gate` makes a champion, and the database holds at most one for each project.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="reward_models")
    number = models.PositiveIntegerField(_("version"))
    kind = models.CharField(_("kind"), max_length=12, choices=ModelKind)
    state = models.CharField(_("state"), max_length=10, choices=ModelState, default=ModelState.CANDIDATE)
    path = models.CharField(_("folder"), max_length=300, editable=False)
    manifest_hash = models.CharField(_("hash of the files"), max_length=64, editable=False)
    # A model cannot outlive the data it came from; both go with their project.
    snapshot = models.ForeignKey(
        Snapshot, verbose_name=_("snapshot"), on_delete=models.RESTRICT, related_name="reward_models"
    )
    parent = models.ForeignKey(
        "self",
        verbose_name=_("champion at the time"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="children",
    )
    config = models.JSONField(_("settings"), default=dict)
    seed = models.BigIntegerField(_("seed"), default=0)
    code_version = models.CharField(_("code version"), max_length=80)
    template_hash = models.CharField(_("template hash"), max_length=64)
    temperature = models.FloatField(_("temperature"), default=1.0)
    metrics = models.JSONField(_("figures of the training"), default=dict)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    stale_told_at = models.DateTimeField(_("told as stale"), null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-number", "-id"]
        verbose_name = _("reward model")
        verbose_name_plural = _("reward models")
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="reward_model_number_once"),
            models.UniqueConstraint(
                fields=["project"], condition=Q(state="champion"), name="reward_model_one_champion"
            ),
            models.CheckConstraint(condition=Q(state__in=ModelState.values), name="reward_model_state_known"),
            models.CheckConstraint(condition=Q(temperature__gt=0), name="reward_model_temperature_ok"),
        ]

    def __str__(self) -> str:
        return f"v{self.number}"

    @property
    def folder(self) -> Path:
        return Path(settings.DATA_DIR) / self.path

    @property
    def is_champion(self) -> bool:
        return self.state == ModelState.CHAMPION


class Evaluation(models.Model):
    """Figures of one model on one split of one snapshot. `low` and `high` bound the 95 % interval of
    accuracy.

    `baselines` is {"random": {...}, "longest": {...}} with the same keys: accuracy, low, high.
    """

    reward_model = models.ForeignKey(RewardModel, on_delete=models.CASCADE, related_name="evaluations")
    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="evaluations")
    split = models.CharField(_("split"), max_length=12, default=HELD_OUT)
    accuracy = models.FloatField(_("accuracy"), null=True)
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    n = models.PositiveIntegerField(_("pairs"), default=0)
    baselines = models.JSONField(_("baselines"), default=dict)
    report = models.JSONField(_("report"), default=dict)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("evaluation")
        verbose_name_plural = _("evaluations")
        constraints = [
            models.UniqueConstraint(fields=["reward_model", "snapshot", "split"], name="evaluation_once"),
        ]

    def __str__(self) -> str:
        return f"{self.reward_model} {self.accuracy}"


class DecisionKind(models.TextChoices):
    AUTOMATIC = "automatic", _("automatic")
    MANUAL = "manual", _("by hand")
    ROLLBACK = "rollback", _("rollback")


class GateDecision(models.Model):
    """Why a model became champion or did not. `reasons` is a list of {"code", ...figures} (see
    workers.reasons)."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="gate_decisions")
    run = models.ForeignKey(
        "workers.TrainingRun", null=True, blank=True, on_delete=models.SET_NULL, related_name="gate_decisions"
    )
    candidate = models.ForeignKey(RewardModel, on_delete=models.CASCADE, related_name="gate_decisions")
    previous_champion = models.ForeignKey(
        RewardModel, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    kind = models.CharField(_("kind"), max_length=10, choices=DecisionKind)
    promote = models.BooleanField(_("promoted"))
    reasons = models.JSONField(_("reasons"), default=list)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("gate decision")
        verbose_name_plural = _("gate decisions")
        constraints = [
            models.UniqueConstraint(
                fields=["run"], condition=Q(kind="automatic"), name="gate_decision_once_for_a_run"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=DecisionKind.values), name="gate_decision_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.candidate} {'+' if self.promote else '-'}"
