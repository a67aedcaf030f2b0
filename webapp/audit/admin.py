from django.contrib import admin

from webapp.audit.models import AuditEvent
from webapp.ui.admin import ReadOnlyAdmin


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "action", "subject", "actor", "project_id")
    list_filter = ("action",)
    list_select_related = ("actor",)
    search_fields = ("subject",)
