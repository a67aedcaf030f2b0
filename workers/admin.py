"""Operators' view of reward models. Services write these rows; operators look."""

from __future__ import annotations

from django.contrib import admin

from webapp.ui.admin import ReadOnlyAdmin
from workers.models import Evaluation, GateDecision, RetrainPolicy, RewardModel, RunMetric, Score, TrainingRun


@admin.register(RewardModel)
class RewardModelAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "project", "kind", "state", "snapshot", "code_version", "created_at")
    list_filter = ("state", "kind")
    list_select_related = ("project", "snapshot")
    search_fields = ("project__name",)


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "project", "kind", "stage", "state", "trigger", "created_at", "finished_at")
    list_filter = ("state", "stage", "trigger", "kind")
    list_select_related = ("project",)
    search_fields = ("project__name",)


@admin.register(RunMetric)
class RunMetricAdmin(ReadOnlyAdmin):
    list_display = ("run", "step", "values")
    list_select_related = ("run",)


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnlyAdmin):
    list_display = ("reward_model", "snapshot", "split", "accuracy", "low", "high", "n", "created_at")
    list_filter = ("split",)
    list_select_related = ("reward_model", "snapshot")


@admin.register(GateDecision)
class GateDecisionAdmin(ReadOnlyAdmin):
    list_display = ("project", "candidate", "previous_champion", "kind", "promote", "user", "at")
    list_filter = ("kind", "promote")
    list_select_related = ("project", "candidate", "previous_champion", "user")


@admin.register(Score)
class ScoreAdmin(ReadOnlyAdmin):
    list_display = ("response_id", "reward_model", "value", "std", "n_tokens", "is_truncated", "created_at")
    list_filter = ("is_truncated",)
    list_select_related = ("reward_model",)


@admin.register(RetrainPolicy)
class RetrainPolicyAdmin(ReadOnlyAdmin):
    list_display = ("project", "is_enabled", "every_n_labels", "cron", "kind", "last_cron_at")
    list_filter = ("is_enabled", "kind")
    list_select_related = ("project",)
