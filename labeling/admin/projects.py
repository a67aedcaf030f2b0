"""Projects, their people, batches and filters."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from labeling.models import Batch, BatchPerson, Invitation, Labeler, Membership, Project, SavedFilter
from labeling.services.deletion import project_delete
from webapp.ui.admin import PersonsOwnAdmin, ReadOnlyAdmin
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


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    list_display = ("name", "project", "deadline", "is_paused", "closed_at")
    list_filter = ("is_paused",)
    list_select_related = ("project",)


@admin.register(BatchPerson)
class BatchPersonAdmin(ReadOnlyAdmin):
    list_display = ("batch", "labeler")
    list_select_related = ("batch", "labeler")


@admin.register(SavedFilter)
class SavedFilterAdmin(PersonsOwnAdmin):
    list_display = ("name", "project", "owner", "is_shared", "created_at")
    list_filter = ("is_shared",)
    list_select_related = ("project", "owner")
