"""What most of the operators' tables have in common."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from unfold.admin import ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Rows that services write: operators look, they do not edit. Counting is left out on large tables."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class PersonsOwnAdmin(ReadOnlyAdmin):
    """Rows that go with the account of the person whose they are, and never by themselves."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may delete a person may delete these rows of that person."""
        page = request.resolver_match
        return obj is not None and page is not None and (page.url_name or "").startswith("users_user_")
