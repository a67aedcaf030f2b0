"""Webhooks of a project: the list, one with its log, a new secret, a test, a delivery again. Managers alone."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from webapp.outbound import Secret
from webapp.users.models import User
from webapp.webhooks.access import delivery_for, project_managed, webhook_for
from webapp.webhooks.forms import WebhookChangeForm, WebhookForm
from webapp.webhooks.models import Webhook
from webapp.webhooks.selectors import deliveries_page, webhook_rows
from webapp.webhooks.services import (
    WebhookChange,
    WebhookStateError,
    delivery_retry,
    webhook_create,
    webhook_delete,
    webhook_rotate,
    webhook_test,
    webhook_update,
)


def _person(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _context(request: HttpRequest, project: Any) -> dict[str, Any]:
    context: dict[str, Any] = import_string(settings.PROJECT_CONTEXT)(request, project, "settings")
    return context


def _log(request: HttpRequest, project: Any, webhook: Webhook) -> dict[str, Any]:
    before = request.GET.get("before", "")
    rows, next_before = deliveries_page(webhook, before)
    return {
        "project": project,
        "webhook": webhook,
        "rows": rows,
        "next_before": next_before,
        "is_paged": bool(before),
        "is_moving": webhook.is_enabled and not before and any(row.is_waiting for row in rows),
    }


@sensitive_variables("secret")
def _detail(
    request: HttpRequest,
    project: Any,
    webhook: Webhook,
    *,
    form: WebhookChangeForm | None = None,
    secret: Secret | None = None,
) -> HttpResponse:
    """A webhook's page. `secret` is shown in this one answer and nowhere else."""
    fields = ("name", "url", "events", "is_enabled")
    context = _context(request, project) | _log(request, project, webhook)
    context["form"] = form or WebhookChangeForm(initial={name: getattr(webhook, name) for name in fields})
    context["secret"] = secret.reveal() if secret else ""
    return render(request, "webhooks/detail.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@sensitive_variables("secret")
def webhook_list(request: HttpRequest, slug: str) -> HttpResponse:
    """The webhooks and a form for another one, whose page with its secret is the answer."""
    project = project_managed(request.user, slug)
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            webhook, secret = webhook_create(
                project_id=project.pk, created_by=_person(request), **form.cleaned_data
            )
        except ValidationError as error:
            form.refuse(error)
        else:
            return _detail(request, project, webhook, secret=secret)
    context = {"rows": webhook_rows(project.pk), "form": form}
    return render(request, "webhooks/list.html", _context(request, project) | context)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def webhook_detail(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    """Its settings and its log; asked for by htmx, the log alone."""
    project, webhook = webhook_for(request.user, slug, uid)
    if request.method == "POST":
        return _changed(request, project, webhook)
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "webhooks/_log.html", _log(request, project, webhook))
    return _detail(request, project, webhook)


def _changed(request: HttpRequest, project: Any, webhook: Webhook) -> HttpResponse:
    form, before = WebhookChangeForm(request.POST), webhook.url
    if form.is_valid():
        try:
            webhook_update(webhook, WebhookChange(**form.cleaned_data), actor=_person(request))
        except ValidationError as error:
            webhook.refresh_from_db()
            form.refuse(error)
        else:
            is_moved = webhook.url != before
            words = _("Saved. The address is new: send a test.") if is_moved else _("Saved.")
            messages.success(request, words)
            return redirect("webhooks:detail", project.slug, webhook.uid)
    return _detail(request, project, webhook, form=form)


@login_required
@never_cache
@require_POST
@sensitive_variables("secret")
def rotate(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    """A new secret, shown in this answer alone."""
    project, webhook = webhook_for(request.user, slug, uid)
    secret = webhook_rotate(webhook, actor=_person(request))
    webhook.refresh_from_db()
    return _detail(request, project, webhook, secret=secret)


@login_required
@require_POST
def test(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    _project, webhook = webhook_for(request.user, slug, uid)
    try:
        webhook_test(webhook)
    except WebhookStateError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("A test is on its way. The log shows what comes back."))
    return redirect("webhooks:detail", slug, uid)


@login_required
@require_POST
def delete(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    _project, webhook = webhook_for(request.user, slug, uid)
    webhook_delete(webhook, actor=_person(request))
    messages.success(request, _("The webhook, its secret and its log were removed."))
    return redirect("webhooks:list", slug)


@login_required
@require_POST
def retry(request: HttpRequest, slug: str, uid: UUID, delivery: UUID) -> HttpResponse:
    try:
        delivery_retry(delivery_for(request.user, slug, uid, delivery))
    except WebhookStateError as error:
        messages.error(request, str(error))
    return redirect("webhooks:detail", slug, uid)
