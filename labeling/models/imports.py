"""Imports: one uploaded file on its way into a project."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.projects import Project
from webapp.jobs.messages import Text, decode


class ImportState(models.TextChoices):
    UPLOADED = "uploaded", _("uploaded")
    CHECKING = "checking", _("being checked")
    REFUSED = "refused", _("refused")
    READY = "ready", _("ready to import")
    WRITING = "writing", _("importing")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")


class ImportSource(models.TextChoices):
    UPLOAD = "upload", _("uploaded file")
    HUB = "hub", _("data set of a hub")


class Import(models.Model):
    """`cursor` is the number of rows already written; it moves in the same transaction as the rows."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="imports")
    file_name = models.CharField(_("file"), max_length=255)
    path = models.CharField(max_length=500, editable=False)
    size_bytes = models.PositiveBigIntegerField(_("bytes"))
    sha256 = models.CharField(max_length=64)
    source = models.CharField(_("source"), max_length=12, choices=ImportSource, default=ImportSource.UPLOAD)
    layout = models.CharField(_("layout"), max_length=40, blank=True)
    # Which key of the file is what, where no layout knows them.
    mapping = models.JSONField(_("mapping"), default=dict, blank=True)
    # Files of an archive, in the order in which they are read.
    members = models.JSONField(_("files within"), default=list, blank=True)
    # The first rows as they stand in the file, cut, to choose keys by.
    sample = models.JSONField(default=list, blank=True, editable=False)
    options = models.JSONField(_("options"), default=dict)
    state = models.CharField(max_length=10, choices=ImportState, default=ImportState.UPLOADED)
    counts = models.JSONField(_("counts"), default=dict)
    problems = models.JSONField(_("problems"), default=list)
    problem_count = models.PositiveIntegerField(_("problems found"), default=0)
    preview = models.JSONField(_("preview"), default=list)
    row_count = models.PositiveIntegerField(_("rows"), default=0)
    cursor = models.PositiveIntegerField(_("rows written"), default=0)
    job_uid = models.UUIDField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ImportState.values), name="import_state_known")
        ]

    def __str__(self) -> str:
        return self.file_name

    @property
    def error(self) -> Text:
        """Why its job ended without finishing it, "" if it did not."""
        return decode(self.counts.get("error", ""))
