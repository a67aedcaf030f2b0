"""Batches: comparisons that are kept for named people, with a deadline."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from labeling.models.projects import Labeler, Project


class Batch(models.Model):
    """Comparisons whose places are kept for the batch's people (`Comparison.batch`). A comparison is in one at most.

    The deadline takes nothing away: what is left stays theirs until a manager releases it (`closed_at`).
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="batches", db_index=False)
    name = models.CharField(_("name"), max_length=120)
    deadline = models.DateTimeField(_("deadline"), null=True, blank=True)
    is_paused = models.BooleanField(_("paused"), default=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    # What people were told: the deadline is near, the deadline is over, its people have nothing left to answer.
    due_told_at = models.DateTimeField(null=True, blank=True, editable=False)
    over_told_at = models.DateTimeField(null=True, blank=True, editable=False)
    stuck_told_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["id"]
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="batch_name_once")]

    def __str__(self) -> str:
        return self.name


class BatchPerson(models.Model):
    """One of the people whom a batch is for, and the bookmark of how far they have walked it (as Labeler's)."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="people", db_index=False)
    labeler = models.ForeignKey(Labeler, on_delete=models.CASCADE, related_name="batch_places")
    passed_priority = models.FloatField(null=True, blank=True, editable=False)
    passed_id = models.BigIntegerField(null=True, blank=True, editable=False)
    passed_at = models.DateTimeField(null=True, blank=True, editable=False)
    passed_epoch = models.PositiveBigIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["id"]
        verbose_name = _("person of a batch")
        verbose_name_plural = _("people of batches")
        constraints = [models.UniqueConstraint(fields=["batch", "labeler"], name="batch_person_once")]

    def __str__(self) -> str:
        return f"{self.batch_id}:{self.labeler_id}"
