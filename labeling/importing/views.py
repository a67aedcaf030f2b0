"""Pages of import: the list, a new upload, and one import from its check to its end."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling.access import Capability, import_for, project_for
from labeling.importing.forms import HubForm, OptionsForm, UploadForm
from labeling.importing.pages import import_context
from labeling.importing.services import (
    ImportStateError,
    import_confirm,
    import_create,
    import_discard,
    import_from_hub,
    import_recheck,
    import_retry,
)
from labeling.importing.uploads import UploadTooLargeError, upload_store
from labeling.models import Import
from labeling.pages import project_context
from webapp.users.models import User

PAGE_SIZE = 30


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


@login_required
@require_safe
def import_list(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.MANAGE)
    rows = (
        Import.objects.filter(project=project)
        .select_related("created_by")
        .defer("preview", "problems", "sample")
    )
    page = Paginator(rows.order_by("-id"), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(
        request, "labeling/importing/list.html", project_context(request, project, "imports") | {"page": page}
    )


@login_required
@require_http_methods(["GET", "POST"])
def import_new(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.MANAGE)
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            stored = upload_store(file.chunks())
        except UploadTooLargeError:
            form.add_error("file", _("The file is too large. Split it."))
        else:
            import_ = import_create(
                project=project,
                file_name=file.name,
                stored=stored,
                options=form.options(),
                created_by=_person(request),
            )
            return redirect("labeling:import-detail", slug, import_.uid)
    forms = {"form": form, "hub_form": HubForm()}
    return render(
        request, "labeling/importing/new.html", project_context(request, project, "imports") | forms
    )


@login_required
@require_POST
def import_hub(request: HttpRequest, slug: str) -> HttpResponse:
    """Fetches a data set of a hub; what is chosen beside it can be changed once it has been checked."""
    project = project_for(request.user, slug, Capability.MANAGE)
    form = HubForm(request.POST)
    if form.is_valid():
        import_ = import_from_hub(
            project=project, name=form.cleaned_data["dataset"], created_by=_person(request)
        )
        return redirect("labeling:import-detail", slug, import_.uid)
    context = project_context(request, project, "imports") | {"form": UploadForm(), "hub_form": form}
    return render(request, "labeling/importing/new.html", context)


@login_required
@require_safe
def import_detail(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    """The page of one import; for htmx only its body, which polls itself while work is going on."""
    import_ = import_for(request.user, slug, uid)
    context = import_context(import_)
    if request.htmx:  # type: ignore[attr-defined]
        response = render(request, "labeling/importing/_body.html", {"project": import_.project, **context})
        if not context["is_active"]:
            response["HX-Refresh"] = "true"  # the work is over: the whole page shows what can be done now
        return response
    context["options_form"] = OptionsForm(initial=import_.options)
    return render(
        request,
        "labeling/importing/detail.html",
        project_context(request, import_.project, "imports") | context,
    )


def _act(request: HttpRequest, import_: Import, action: Any, **arguments: Any) -> HttpResponse:
    """Calls one service for the import and goes back to its page, with the reason when it was refused."""
    try:
        action(import_, actor=_person(request), **arguments)
    except ImportStateError as error:
        messages.error(request, str(error))
    return redirect("labeling:import-detail", import_.project.slug, import_.uid)


@login_required
@require_POST
def import_confirm_view(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    import_ = import_for(request.user, slug, uid)
    return _act(request, import_, import_confirm, skip_bad="skip_bad" in request.POST)


@login_required
@require_POST
def import_recheck_view(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    import_ = import_for(request.user, slug, uid)
    form = OptionsForm(request.POST)
    if form.is_valid():
        return _act(request, import_, import_recheck, options=form.options(import_.options))
    context = project_context(request, import_.project, "imports") | import_context(import_)
    return render(request, "labeling/importing/detail.html", context | {"options_form": form})


@login_required
@require_POST
def import_retry_view(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    return _act(request, import_for(request.user, slug, uid), import_retry)


@login_required
@require_POST
def import_discard_view(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    import_ = import_for(request.user, slug, uid)
    try:
        import_discard(import_, actor=_person(request))
    except ImportStateError as error:
        messages.error(request, str(error))
        return redirect("labeling:import-detail", slug, uid)
    messages.success(request, _("%(file)s was thrown away.") % {"file": import_.file_name})
    return redirect("labeling:import-list", slug)
