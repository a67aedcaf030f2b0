"""Addresses that are told of a project's events, what was to be told, and each attempt's outcome."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from webapp.jobs.messages import MessageField


class Webhook(models.Model):
    """`secret_sealed` is written by `services` alone; the one before it signs, too, until `old_secret_until`."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # The ground storey does not know projects, so a plain number stands for one.
    project_id = models.BigIntegerField(_("project"))
    name = models.CharField(_("name"), max_length=80)
    url = models.CharField(_("address"), max_length=500)
    secret_sealed = models.TextField(editable=False)
    old_secret_sealed = models.TextField(blank=True, editable=False)
    old_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    events = models.JSONField(_("events"), default=list)
    is_enabled = models.BooleanField(_("switched on"), default=True)
    disabled_reason = MessageField(_("why it was switched off"), blank=True)
    failing_since = models.DateTimeField(_("fails since"), null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        constraints = [models.UniqueConstraint(fields=["project_id", "name"], name="webhook_name_once")]

    def __str__(self) -> str:
        return self.name


class Event(models.Model):
    """Something that happened. `payload` holds the very text whose bytes are signed and sent."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project_id = models.BigIntegerField(_("project"))
    kind = models.CharField(_("kind"), max_length=40)
    payload = models.TextField(_("content"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("webhook event")
        verbose_name_plural = _("webhook events")
        indexes = [
            models.Index(fields=["created_at"], name="webhook_event_created"),
            models.Index(fields=["project_id"], name="webhook_event_project"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.message_id}"

    @property
    def message_id(self) -> str:
        """What goes out as `webhook-id`: the same with every attempt."""
        return f"msg_{self.uid.hex}"


class DeliveryState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    DELIVERED = "delivered", _("delivered")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


class Delivery(models.Model):
    """One event on its way to one webhook.

    While a worker calls, `lease_until` and `next_at` lie ahead: if the worker dies, the row is due again then.
    `fence` grows with each claim, and only the newest claim may write the outcome.
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # Without a key of the database: a webhook deleted at this moment must not make the vote fail that tells of
    # itself. What is left of deleted webhooks goes with the sweep (`cleaning`).
    webhook = models.ForeignKey(
        Webhook,
        verbose_name=_("webhook"),
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="deliveries",
    )
    event = models.ForeignKey(
        Event, verbose_name=_("event"), on_delete=models.CASCADE, related_name="deliveries"
    )
    state = models.CharField(_("state"), max_length=12, choices=DeliveryState, default=DeliveryState.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    fence = models.PositiveBigIntegerField(_("fence token"), default=0)
    next_at = models.DateTimeField(_("next attempt"))
    lease_until = models.DateTimeField(_("lease ends"), null=True, blank=True)
    last_at = models.DateTimeField(_("last attempt"), null=True, blank=True)
    last_status = models.PositiveSmallIntegerField(_("last answer"), null=True, blank=True)
    last_error = MessageField(_("last error"), blank=True)
    last_ms = models.PositiveIntegerField(_("milliseconds of the last attempt"), null=True, blank=True)
    answer = models.TextField(_("beginning of the last answer"), blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = [
            models.Index(fields=["webhook", "-id"], name="delivery_webhook"),
            # Due rows are looked for one webhook at a time, so that a long queue of one holds up no other.
            models.Index(
                fields=["webhook", "next_at"], name="delivery_waiting", condition=Q(state="waiting")
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["event", "webhook"], name="delivery_once"),
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="delivery_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.state}"

    @property
    def is_waiting(self) -> bool:
        return self.state == DeliveryState.WAITING
