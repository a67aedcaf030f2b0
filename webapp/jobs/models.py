"""The job row: the truth about a piece of background work. Celery only carries its id to a worker."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webapp.jobs.messages import MessageField


class JobState(models.TextChoices):
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


ACTIVE_STATES = (JobState.QUEUED, JobState.RUNNING)


class Job(models.Model):
    """One piece of work.

    `fence` grows by one with every claim; each later write is conditional on it, so a worker that
    lost its lease cannot write. `attempts` counts claims since the last new checkpoint.
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(_("kind"), max_length=60)
    queue = models.CharField(_("queue"), max_length=40)
    title = MessageField(_("title"), blank=True)
    # The ground storey does not know projects, so a plain number stands for one.
    project_id = models.BigIntegerField(_("project"), null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("asked for by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    params = models.JSONField(_("parameters"), default=dict)
    state = models.CharField(_("state"), max_length=12, choices=JobState, default=JobState.QUEUED)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    max_attempts = models.PositiveSmallIntegerField(_("most attempts"), default=3)
    fence = models.PositiveBigIntegerField(_("fence token"), default=0)
    worker = models.CharField(_("worker"), max_length=120, blank=True)
    lease_expires_at = models.DateTimeField(_("lease ends"), null=True, blank=True)
    heartbeat_at = models.DateTimeField(_("last heartbeat"), null=True, blank=True)
    published_at = models.DateTimeField(_("last sent to a worker"), null=True, blank=True)
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    cancel_requested_at = models.DateTimeField(_("cancel asked for"), null=True, blank=True)
    progress_done = models.PositiveBigIntegerField(_("done"), default=0)
    progress_total = models.PositiveBigIntegerField(_("total"), default=0)
    progress_message = MessageField(_("message"), blank=True)
    expected_end_at = models.DateTimeField(_("expected end"), null=True, blank=True)
    metrics = models.JSONField(_("metrics"), default=dict)
    result = models.JSONField(_("result"), default=dict)
    log_tail = models.TextField(_("log"), blank=True)
    error = MessageField(_("error"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    retry_of = models.ForeignKey(
        "self", verbose_name=_("retry of"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        indexes = [
            models.Index(fields=["project_id", "-id"], name="job_project"),
            models.Index(
                fields=["state", "lease_expires_at"],
                name="job_active",
                condition=Q(state__in=["queued", "running"]),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=JobState.values), name="job_state_known"),
            models.CheckConstraint(
                condition=~Q(state="running") | Q(lease_expires_at__isnull=False),
                name="job_running_has_lease",
            ),
        ]

    def __str__(self) -> str:
        return str(self.title) or f"{self.kind} {self.pk}"

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_STATES

    @property
    def share_done(self) -> float | None:
        """Share of the work done in [0, 1], or None while the total is unknown."""
        return min(1.0, self.progress_done / self.progress_total) if self.progress_total else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the expected end, at least 0, or None while no pace is known."""
        if self.expected_end_at is None:
            return None
        return max(0.0, (self.expected_end_at - timezone.now()).total_seconds())

    @property
    def run_seconds(self) -> float | None:
        """Seconds from the start of the last attempt to the end, or None before the end."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def error_line(self) -> str:
        """The line that says most: the first of a plain message, the last of a traceback."""
        lines = [line for line in str(self.error).splitlines() if line.strip()]
        if not lines:
            return ""
        return lines[-1] if lines[0].startswith("Traceback") else lines[0]

    @property
    def error_has_more(self) -> bool:
        return str(self.error).strip() != self.error_line


class WorkerBeat(models.Model):
    """A worker process and when it was last heard of; written by the worker itself every ten seconds."""

    name = models.CharField(_("name"), max_length=120)
    pid = models.PositiveIntegerField(_("process"))
    queues = models.JSONField(_("queues"), default=list)
    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    last_seen_at = models.DateTimeField(_("last seen"))

    class Meta:
        ordering = ["name", "pid"]
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        constraints = [models.UniqueConstraint(fields=["name", "pid"], name="worker_beat_once")]

    def __str__(self) -> str:
        return f"{self.name}:{self.pid}"
