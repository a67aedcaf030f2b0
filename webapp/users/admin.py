"""Operators' view of people and tokens."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from webapp.users.models import ApiToken, User

admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, ModelAdmin):
    pass


@admin.register(User)
class UserAdmin(BaseUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    fieldsets = (*(BaseUserAdmin.fieldsets or ()), (_("Chosen"), {"fields": ("display_name", "language")}))
    list_display = ("username", "display_name", "email", "is_staff", "is_active", "last_login")


@admin.register(ApiToken)
class ApiTokenAdmin(ModelAdmin):
    """Tokens can be looked at and revoked; only their owner makes them."""

    list_display = ("name", "user", "scopes", "created", "expiry")
    search_fields = ("name", "user__username")
    exclude = ("digest",)
    ordering = ("-created",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False
