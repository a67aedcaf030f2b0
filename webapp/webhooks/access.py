"""Webhooks are for managers of their project. The storey above answers for projects, by dotted names in settings."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import Http404
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from webapp.users.models import User
from webapp.webhooks.models import Delivery, Webhook

AnyUser = User | AnonymousUser


def project_managed(user: AnyUser, slug: str) -> Any:
    """The project at this address, if the person manages it. Raises Http404 or PermissionDenied."""
    project = import_string(settings.PROJECTS_ENTERED)(user).filter(slug=slug).first()
    if project is None:
        raise Http404(_("There is no such project, or you are not a member of it."))
    return import_string(settings.PROJECT_ACCESS)(user, project.pk, manage=True)


def webhook_for(user: AnyUser, slug: str, uid: UUID) -> tuple[Any, Webhook]:
    """The project and one of its webhooks. Raises Http404 or PermissionDenied."""
    project = project_managed(user, slug)
    webhook = Webhook.objects.filter(project_id=project.pk, uid=uid).first()
    if webhook is None:
        raise Http404(_("There is no such thing in this project."))
    return project, webhook


def delivery_for(user: AnyUser, slug: str, uid: UUID, delivery: UUID) -> Delivery:
    """One delivery of a webhook. Raises Http404 or PermissionDenied."""
    _project, webhook = webhook_for(user, slug, uid)
    row = webhook.deliveries.select_related("event", "webhook").filter(uid=delivery).first()
    if row is None:
        raise Http404(_("There is no such thing in this project."))
    return row
