"""Snapshots: immutable, hashed dataset versions. Training, evaluation, agreement and export read them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.projects import Project


class SnapshotState(models.TextChoices):
    MAKING = "making", _("being made")
    READY = "ready", _("ready")
    FAILED = "failed", _("failed")


class Snapshot(models.Model):
    """`content_hash` is SHA-256 over the canonical rows; `file_hash` over the Parquet file that holds them."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="snapshots")
    number = models.PositiveIntegerField(_("version"))
    state = models.CharField(max_length=8, choices=SnapshotState, default=SnapshotState.MAKING)
    config = models.JSONField(_("settings"), default=dict)
    row_count = models.PositiveIntegerField(_("rows"), default=0)
    split_counts = models.JSONField(_("rows by split"), default=dict)
    content_hash = models.CharField(max_length=64, blank=True)
    file_hash = models.CharField(max_length=64, blank=True)
    last_preference_id = models.BigIntegerField(_("up to preference"), default=0)
    preference_count = models.PositiveBigIntegerField(_("preferences in the project"), default=0)
    last_adjudication_id = models.BigIntegerField(_("up to adjudication"), default=0)
    job_uid = models.UUIDField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        verbose_name = _("snapshot")
        verbose_name_plural = _("snapshots")
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="snapshot_number_once"),
            models.CheckConstraint(
                condition=~Q(state="ready") | ~Q(content_hash=""), name="snapshot_ready_has_hash"
            ),
        ]

    def __str__(self) -> str:
        return f"v{self.number}"

    @property
    def stale(self) -> bool:
        """Whether the project has preferences, edits included, or adjudications that this snapshot has not seen.

        A preference may be committed after the snapshot with an id below the last one that it saw, so where
        no id is newer, the append-only rows are counted: an index-only count, 0.15 s for a million.
        """
        preferences = self.project.preferences
        return (
            preferences.filter(pk__gt=self.last_preference_id).exists()
            or self.project.adjudications.filter(pk__gt=self.last_adjudication_id).exists()
            or preferences.count() != self.preference_count
        )


class SnapshotDiff(models.Model):
    """What changed from one snapshot of a project to a newer one: counts, and the first rows, in `summary`."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="snapshot_diffs")
    older = models.ForeignKey(
        Snapshot, on_delete=models.CASCADE, related_name="diffs_to_newer", db_index=False
    )
    newer = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="diffs_to_older")
    state = models.CharField(max_length=8, choices=SnapshotState, default=SnapshotState.MAKING)
    job_uid = models.UUIDField(null=True, blank=True)
    summary = models.JSONField(_("summary"), default=dict)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("difference of snapshots")
        verbose_name_plural = _("differences of snapshots")
        constraints = [
            models.UniqueConstraint(fields=["older", "newer"], name="snapshot_diff_once"),
            models.CheckConstraint(
                condition=Q(state__in=SnapshotState.values), name="snapshot_diff_state_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.older_id} → {self.newer_id}"
