"""Filters of items that somebody keeps."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from labeling.models.projects import Project


class SavedFilter(models.Model):
    """A named filter of a project's items. Others who may view the project see it only where it is shared."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="saved_filters", db_index=False
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_filters"
    )
    name = models.CharField(_("name"), max_length=80)
    query = models.JSONField(_("filter"), default=dict)
    is_shared = models.BooleanField(_("shared"), default=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        verbose_name = _("saved filter")
        verbose_name_plural = _("saved filters")
        constraints = [
            models.UniqueConstraint(fields=["project", "owner", "name"], name="saved_filter_name_once")
        ]

    def __str__(self) -> str:
        return self.name
