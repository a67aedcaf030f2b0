"""Operators' view of judging. Services write these rows; the endpoint's key is not among the fields."""

from __future__ import annotations

from django.contrib import admin

from judging.models import Endpoint, Judge, JudgeRun, JudgeVersion, Verdict
from webapp.ui.admin import ReadOnlyAdmin


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    list_display = ("name", "project", "base_url", "model", "probed_at", "probe_error")
    list_select_related = ("project",)
    exclude = ("api_key_encrypted",)


@admin.register(Judge)
class JudgeAdmin(ReadOnlyAdmin):
    list_display = ("name", "project", "created_at")
    list_select_related = ("project",)
    search_fields = ("name",)


@admin.register(JudgeVersion)
class JudgeVersionAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "engine", "model", "language", "created_at")
    list_filter = ("engine",)
    list_select_related = ("judge",)


@admin.register(JudgeRun)
class JudgeRunAdmin(ReadOnlyAdmin):
    list_display = ("uid", "project", "judge_version", "total", "created_at", "finished_at")
    list_select_related = ("project", "judge_version__judge")


@admin.register(Verdict)
class VerdictAdmin(ReadOnlyAdmin):
    list_display = ("id", "judge_version", "comparison_id", "order", "status", "outcome", "p_a", "created_at")
    list_filter = ("status", "order")
    list_select_related = ("judge_version__judge",)
