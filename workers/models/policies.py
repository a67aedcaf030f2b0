"""When a project trains again by itself."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models import Project
from workers.models.reward_models import ModelKind


class RetrainPolicy(models.Model):
    """After every `every_n_labels` new labels, by a cron line, or both. An empty value turns that one off.

    `last_triggered_preference_id` is the newest preference already counted; `last_cron_at` the minute of the
    last scheduled start. Both move by conditional update, so that two beats start one run.
    """

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="retrain_policy")
    is_enabled = models.BooleanField(_("enabled"), default=False)
    every_n_labels = models.PositiveIntegerField(
        _("after this many new labels"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    cron = models.CharField(
        _("schedule (cron)"), max_length=120, blank=True, help_text=_("minute hour day month weekday")
    )
    kind = models.CharField(_("kind"), max_length=12, choices=ModelKind, default=ModelKind.STARTER)
    config = models.JSONField(_("settings"), default=dict, blank=True)
    snapshot_config = models.JSONField(_("settings of the snapshot"), default=dict, blank=True)
    last_triggered_preference_id = models.BigIntegerField(_("counted up to preference"), default=0)
    last_cron_at = models.DateTimeField(_("last scheduled start"), null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("retrain policy")
        verbose_name_plural = _("retrain policies")
        constraints = [
            models.CheckConstraint(
                condition=Q(every_n_labels__isnull=True) | Q(every_n_labels__gte=1), name="policy_every_n_ok"
            ),
        ]

    def __str__(self) -> str:
        return str(self.project)
