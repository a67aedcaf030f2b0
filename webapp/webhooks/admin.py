"""Operators' view of webhooks and what they sent; secrets are not shown."""

from __future__ import annotations

from django.contrib import admin

from webapp.ui.admin import ReadOnlyAdmin
from webapp.webhooks.models import Delivery, Event, Webhook


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    list_display = ("name", "project_id", "url", "is_enabled", "failing_since", "created_at")
    list_filter = ("is_enabled",)
    search_fields = ("name", "url")


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "project_id", "created_at")
    list_filter = ("kind",)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "webhook", "event", "attempts", "next_at", "last_status")
    list_filter = ("state",)
    list_select_related = ("webhook", "event")
