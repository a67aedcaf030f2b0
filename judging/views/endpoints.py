"""Endpoints: made, changed, probed, removed. Managers alone."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from judging.access import endpoint_for
from judging.forms import EndpointForm
from judging.models import Endpoint
from judging.services.endpoints import (
    EndpointChange,
    endpoint_create,
    endpoint_delete,
    endpoint_facts,
    endpoint_probe,
    endpoint_update,
)
from judging.views.pages import SECTION, person
from labeling.access import Capability, project_for
from labeling.pages import project_context


@sensitive_post_parameters("api_key")
@sensitive_variables()
@login_required
@require_http_methods(["GET", "POST"])
def endpoint_new(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.MANAGE)
    form = EndpointForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            endpoint = endpoint_create(project=project, created_by=person(request), **form.values())
        except ValidationError as error:
            _apply(form, error)
        else:
            return _probed(request, slug, endpoint, saved=True)
    return render(
        request, "judging/endpoint.html", project_context(request, project, SECTION) | {"form": form}
    )


@sensitive_post_parameters("api_key")
@sensitive_variables()
@login_required
@require_http_methods(["GET", "POST"])
def endpoint_detail(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    endpoint = endpoint_for(request.user, slug, uid)
    initial = {
        name: getattr(endpoint, name) for name in ("name", "base_url", "model", "concurrency", "deadline_s")
    }
    form = EndpointForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            endpoint_update(endpoint, EndpointChange(**form.values()), actor=person(request))
        except ValidationError as error:
            endpoint.refresh_from_db()
            _apply(form, error)
        else:
            return _probed(request, slug, endpoint, saved=True)
    context = {"form": form, "endpoint": endpoint, "facts": endpoint_facts(endpoint)}
    return render(
        request, "judging/endpoint.html", project_context(request, endpoint.project, SECTION) | context
    )


@login_required
@require_POST
def endpoint_probe_view(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    return _probed(request, slug, endpoint_for(request.user, slug, uid))


@login_required
@require_POST
def endpoint_remove(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    endpoint = endpoint_for(request.user, slug, uid)
    endpoint_delete(endpoint, actor=person(request))
    messages.success(request, _("The endpoint and its key were removed."))
    return redirect("judging:judge-list", slug)


def _probed(request: HttpRequest, slug: str, endpoint: Endpoint, *, saved: bool = False) -> HttpResponse:
    endpoint_probe(endpoint)
    if endpoint.probe_error:
        words = (
            _("Saved, but the endpoint did not answer as it should: %(reason)s")
            if saved
            else _("The endpoint did not answer as it should: %(reason)s")
        )
        messages.warning(request, words % {"reason": endpoint.probe_error})
    else:
        messages.success(request, _("The endpoint answers."))
    return redirect("judging:endpoint-detail", slug, endpoint.uid)


def _apply(form: EndpointForm, error: ValidationError) -> None:
    for name, problems in error.message_dict.items():
        form.add_error(name if name in form.fields else None, problems)
    form.ask_for_the_key_again()
