"""What people said: leases, preferences, rankings, and what they were settled to."""

from __future__ import annotations

from django.contrib import admin

from labeling.models import (
    Assignment,
    Preference,
    Ranking,
    RankingTask,
    ReliabilityFit,
    Resolution,
    Reveal,
)
from webapp.ui.admin import PersonsOwnAdmin, ReadOnlyAdmin


@admin.register(Assignment)
class AssignmentAdmin(ReadOnlyAdmin):
    list_display = ("uid", "labeler", "state", "drawn", "lease_expires_at", "finished_at")
    list_filter = ("state", "drawn")
    list_select_related = ("labeler",)


@admin.register(Preference)
class PreferenceAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "project",
        "comparison_id",
        "labeler",
        "revision",
        "outcome",
        "strength",
        "created_at",
    )
    list_filter = ("outcome", "source")
    list_select_related = ("project", "labeler")


@admin.register(Reveal)
class RevealAdmin(PersonsOwnAdmin):
    list_display = ("comparison_id", "user", "created_at")
    list_select_related = ("user",)


@admin.register(Resolution)
class ResolutionAdmin(ReadOnlyAdmin):
    list_display = ("comparison_id", "project", "outcome", "p_a", "is_disputed", "method", "updated_at")
    list_filter = ("outcome", "is_disputed", "method")
    list_select_related = ("project",)


@admin.register(RankingTask)
class RankingTaskAdmin(ReadOnlyAdmin):
    list_display = ("uid", "labeler", "state", "lease_expires_at", "finished_at")
    list_filter = ("state",)
    list_select_related = ("labeler",)


@admin.register(Ranking)
class RankingAdmin(ReadOnlyAdmin):
    list_display = ("id", "project", "prompt_id", "labeler", "revision", "created_at")
    list_filter = ("source",)
    list_select_related = ("project", "labeler")


@admin.register(ReliabilityFit)
class ReliabilityFitAdmin(ReadOnlyAdmin):
    list_display = ("id", "project", "up_to", "preference_count", "iterations", "created_at")
    list_select_related = ("project",)
