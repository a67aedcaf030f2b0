"""Judges, their immutable versions, and runs of a version over a selection of comparisons."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from judging.models.endpoints import Endpoint
from labeling.models import Project


class EngineKind(models.TextChoices):
    OPENAI = "openai", _("OpenAI-compatible endpoint")
    LOCAL = "local", _("local causal model")
    SCORER = "scorer", _("reward model")


class Judge(models.Model):
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judges")
    name = models.CharField(_("name"), max_length=80)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        verbose_name = _("judge")
        verbose_name_plural = _("judges")
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="judge_name_once")]

    def __str__(self) -> str:
        return self.name


class JudgeVersion(models.Model):
    """Everything that decides what a judge says. Never changed: a new wording is a new version.

    `model` is the name sent to an endpoint, a folder (relative to the data folder, or absolute under an
    allowed one) for a local model, or the name of a registered pair scorer. `revision` is a hash of a local
    model's files. `provenance_hash` covers all of it, the endpoint's address included, and is part of every
    verdict's own hash, which is the key under which an answer is kept and never bought twice.
    `facts` says where a judge comes from, for people: a trained one names its snapshot and its figures.
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    judge = models.ForeignKey(Judge, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(_("version"))
    engine = models.CharField(_("engine"), max_length=10, choices=EngineKind)
    endpoint = models.ForeignKey(
        Endpoint, null=True, blank=True, on_delete=models.SET_NULL, related_name="judge_versions"
    )
    base_url = models.CharField(_("base URL"), max_length=500, blank=True)
    model = models.CharField(_("model"), max_length=500)
    revision = models.CharField(_("revision"), max_length=64, blank=True)
    template = models.CharField(_("template"), max_length=20)
    template_version = models.CharField(_("template version"), max_length=20)
    rubric = models.TextField(_("rubric"), blank=True)
    language = models.CharField(_("language"), max_length=12, default="en")
    allow_tie = models.BooleanField(_("may say tie"), default=True)
    reasoned = models.BooleanField(_("gives reasons first"), default=True)
    sampling = models.JSONField(_("sampling"), default=dict)
    pattern = models.CharField(_("own verdict pattern"), max_length=300, blank=True)
    provenance_hash = models.CharField(max_length=64, editable=False)
    facts = models.JSONField(_("facts"), default=dict)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["judge", "-number"]
        verbose_name = _("judge version")
        verbose_name_plural = _("judge versions")
        constraints = [
            models.UniqueConstraint(fields=["judge", "number"], name="judge_version_number_once"),
            models.CheckConstraint(
                condition=Q(engine__in=EngineKind.values), name="judge_version_engine_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.judge} v{self.number}"

    @property
    def was_trained_here(self) -> bool:
        return bool(self.facts.get("trained"))


class JudgeRun(models.Model):
    """One run of a version over a selection. Its state is its job's; `counts` is by verdict status."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judge_runs")
    judge_version = models.ForeignKey(JudgeVersion, on_delete=models.CASCADE, related_name="runs")
    selection = models.JSONField(_("selection"), default=dict)
    counts = models.JSONField(_("counts"), default=dict)
    total = models.PositiveIntegerField(_("comparisons"), default=0)
    job_uid = models.UUIDField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("started"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("judge run")
        verbose_name_plural = _("judge runs")
        indexes = [models.Index(fields=["judge_version", "-id"], name="judge_run_version")]

    def __str__(self) -> str:
        return str(self.uid)
