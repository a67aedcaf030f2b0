"""Prompts, responses and comparisons, what finds them, and the files that they come in and go out by."""

from __future__ import annotations

from django.contrib import admin

from labeling.models import (
    Comparison,
    Import,
    ItemFacet,
    Prompt,
    Response,
    SearchText,
    Snapshot,
    SnapshotDiff,
)
from webapp.ui.admin import ReadOnlyAdmin


@admin.register(Prompt)
class PromptAdmin(ReadOnlyAdmin):
    list_display = ("id", "__str__", "project", "language", "topic", "group")
    list_filter = ("language",)
    list_select_related = ("project",)
    search_fields = ("external_id", "group")


@admin.register(Response)
class ResponseAdmin(ReadOnlyAdmin):
    list_display = ("id", "__str__", "model_name")
    search_fields = ("model_name",)


@admin.register(Comparison)
class ComparisonAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "project",
        "state",
        "label_count",
        "needed",
        "open_slots",
        "priority",
        "priority_reason",
    )
    list_filter = ("state", "use", "priority_reason")
    list_select_related = ("project",)


@admin.register(SearchText)
class SearchTextAdmin(ReadOnlyAdmin):
    list_display = ("prompt_id", "project", "__str__")
    list_select_related = ("project",)


@admin.register(ItemFacet)
class ItemFacetAdmin(ReadOnlyAdmin):
    list_display = ("comparison_id", "project", "kind", "value")
    list_select_related = ("project",)
    list_filter = ("kind",)
    search_fields = ("value",)


@admin.register(Import)
class ImportAdmin(ReadOnlyAdmin):
    list_display = ("file_name", "project", "layout", "state", "row_count", "problem_count", "created_at")
    list_filter = ("state", "layout")
    list_select_related = ("project",)


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "project", "state", "row_count", "content_hash", "created_at")
    list_filter = ("state",)
    list_select_related = ("project",)


@admin.register(SnapshotDiff)
class SnapshotDiffAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "project", "state", "created_at")
    list_filter = ("state",)
    list_select_related = ("project",)
