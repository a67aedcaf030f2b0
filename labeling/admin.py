"""Operators' view of labeling. Preferences, resolutions and snapshots are read-only: services write them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from labeling.models import (
    Assignment,
    Comparison,
    Import,
    Invitation,
    Labeler,
    Membership,
    Preference,
    Project,
    Prompt,
    Resolution,
    Response,
    Reveal,
    Snapshot,
)
from labeling.services.deletion import project_delete
from webapp.ui.admin import ReadOnlyAdmin
from webapp.users.models import User


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(Project)
class ProjectAdmin(ModelAdmin):
    list_display = ("name", "slug", "overlap", "random_share", "is_paused", "created_at")
    list_filter = ("is_paused",)
    search_fields = ("name", "slug")
    inlines = (MembershipInline,)

    def get_deleted_objects(
        self, objs: QuerySet[Project] | list[Project], request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """A project goes with all that it has, read-only rows too: counted, for there may be millions."""
        projects = list(objs)
        counts = {
            str(
                relation.related_model._meta.verbose_name_plural
            ): relation.related_model._default_manager.filter(
                **{f"{relation.field.name}__in": projects}
            ).count()
            for relation in Project._meta.related_objects
        }
        return projects, counts, set(), []

    def delete_model(self, request: HttpRequest, obj: Project) -> None:
        project_delete(project=obj, actor=request.user if isinstance(request.user, User) else None)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Project]) -> None:
        for project in queryset:
            self.delete_model(request, project)


@admin.register(Membership)
class MembershipAdmin(ModelAdmin):
    list_display = ("user", "project", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "project")
    autocomplete_fields = ("user", "project")


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = ("project", "email", "role", "expires_at", "accepted_at")
    list_select_related = ("project",)


@admin.register(Labeler)
class LabelerAdmin(ReadOnlyAdmin):
    list_display = ("name", "kind", "project", "user")
    list_filter = ("kind",)
    list_select_related = ("project", "user")
    search_fields = ("name",)


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
    list_filter = ("state", "priority_reason")
    list_select_related = ("project",)


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
class RevealAdmin(ReadOnlyAdmin):
    list_display = ("comparison_id", "user", "created_at")
    list_select_related = ("user",)

    def has_delete_permission(self, request: HttpRequest, obj: Reveal | None = None) -> bool:
        """Never by itself; but whoever may delete a person may delete what that person was shown."""
        page = request.resolver_match
        return obj is not None and page is not None and (page.url_name or "").startswith("users_user_")


@admin.register(Resolution)
class ResolutionAdmin(ReadOnlyAdmin):
    list_display = ("comparison_id", "project", "outcome", "p_a", "is_disputed", "method", "updated_at")
    list_filter = ("outcome", "is_disputed", "method")
    list_select_related = ("project",)


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "project", "state", "row_count", "content_hash", "created_at")
    list_filter = ("state",)
    list_select_related = ("project",)


@admin.register(Import)
class ImportAdmin(ReadOnlyAdmin):
    list_display = ("file_name", "project", "layout", "state", "row_count", "problem_count", "created_at")
    list_filter = ("state", "layout")
    list_select_related = ("project",)
