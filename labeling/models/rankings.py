"""Rankings: one person's order of several responses to a prompt, which is written as preferences on their pairs."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.items import Prompt
from labeling.models.preferences import AssignmentState, PreferenceSource
from labeling.models.projects import Labeler, Project


class RankingTask(models.Model):
    """A prompt's responses leased to one labeler to be ranked. The places that it holds are Assignments.

    `order` holds the ids of the responses as they are shown, the same at each look.
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="ranking_tasks")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="ranking_tasks")
    labeler = models.ForeignKey(
        Labeler, on_delete=models.CASCADE, related_name="ranking_tasks", db_index=False
    )
    state = models.CharField(max_length=10, choices=AssignmentState, default=AssignmentState.LEASED)
    order = models.JSONField(default=list)
    draft = models.JSONField(default=dict, blank=True)
    lease_expires_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("ranking task")
        verbose_name_plural = _("ranking tasks")
        constraints = [
            models.UniqueConstraint(fields=["labeler", "prompt"], name="ranking_task_once"),
            models.CheckConstraint(
                condition=Q(state__in=AssignmentState.values), name="ranking_task_state_known"
            ),
        ]
        indexes = [
            models.Index(fields=["lease_expires_at"], name="ranking_task_lease", condition=Q(state="leased"))
        ]

    def __str__(self) -> str:
        return str(self.uid)


class Ranking(models.Model):
    """One person's order of a prompt's responses. Append-only, as preferences are: a database trigger refuses updates.

    `ranks` holds ids of responses, best first, those that tie together: `[[7], [4, 9], [2]]`. `unranked` holds those of
    which the person says nothing. Each pair of ranked responses has a Preference that points here.
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rankings")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="rankings", db_index=False)
    labeler = models.ForeignKey(Labeler, on_delete=models.CASCADE, related_name="rankings", db_index=False)
    task = models.ForeignKey(
        RankingTask, null=True, blank=True, on_delete=models.CASCADE, related_name="rankings"
    )
    revision = models.PositiveSmallIntegerField(_("revision"), default=1)
    ranks = models.JSONField(_("ranks"), default=list)
    unranked = models.JSONField(_("not ranked"), default=list)
    rationale = models.TextField(_("rationale"), blank=True)
    duration_ms = models.PositiveIntegerField(_("milliseconds"), null=True, blank=True)
    source = models.CharField(_("source"), max_length=12, choices=PreferenceSource)
    idempotency_key = models.CharField(max_length=80, editable=False)
    request_hash = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(_("at"))

    class Meta:
        ordering = ["id"]
        verbose_name = _("ranking")
        verbose_name_plural = _("rankings")
        constraints = [
            models.UniqueConstraint(fields=["prompt", "labeler", "revision"], name="ranking_revision_once"),
            models.UniqueConstraint(fields=["labeler", "idempotency_key"], name="ranking_key_once"),
        ]

    def __str__(self) -> str:
        return f"{self.labeler_id}:{self.prompt_id} r{self.revision}"
