"""Endpoints: servers that judges are asked at. The key is stored encrypted and never shown again."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from labeling.models import Project


class Endpoint(models.Model):
    """`api_key_encrypted` is written by `services.endpoints` alone and emptied when the address changes.

    `capabilities` is what a probe learned: the dialect (see `engines/dialect.py`).
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judge_endpoints")
    name = models.CharField(_("name"), max_length=80)
    base_url = models.CharField(_("base URL"), max_length=500)
    api_key_encrypted = models.TextField(blank=True, editable=False)
    model = models.CharField(_("model"), max_length=200)
    concurrency = models.PositiveSmallIntegerField(_("calls at once"), default=4)
    deadline_s = models.PositiveSmallIntegerField(_("seconds for one answer"), default=120)
    capabilities = models.JSONField(_("capabilities"), default=dict)
    probe_error = models.CharField(_("what the probe ran into"), max_length=500, blank=True)
    probed_at = models.DateTimeField(_("probed"), null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        verbose_name = _("endpoint")
        verbose_name_plural = _("endpoints")
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="endpoint_name_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def has_key(self) -> bool:
        return bool(self.api_key_encrypted)
