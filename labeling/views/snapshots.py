"""Snapshots: list, new, detail; and export: what it would write, its bytes, its manifest."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from labeling.access import Capability, project_for, snapshot_for
from labeling.exporting import ExportForm, ExportOptions, export_manifest, export_open
from labeling.exporting.responses import export_response
from labeling.models import LabelerKind, Snapshot, SnapshotState
from labeling.pages import project_context
from labeling.selectors.progress import project_progress
from labeling.selectors.staleness import revised_since
from labeling.services.snapshots import snapshot_create
from labeling.snapshots import SnapshotError
from labeling.views.snapshot_form import GROUP_KEY_CHOICES, SnapshotForm
from webapp.users.models import User

PAGE_SIZE = 30
PREVIEW_ROWS = 3
PREVIEW_LOOKED_AT = 200


@login_required
@require_safe
def snapshot_list(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.VIEW)
    rows = Snapshot.objects.filter(project=project).select_related("created_by").order_by("-number")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"page": page, "progress": project_progress(project)}
    return render(
        request, "labeling/snapshots/list.html", project_context(request, project, "snapshots") | context
    )


@login_required
@require_http_methods(["GET", "POST"])
def snapshot_new(request: HttpRequest, slug: str) -> HttpResponse:
    assert isinstance(request.user, User)
    project = project_for(request.user, slug, Capability.MANAGE)
    form = SnapshotForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        snapshot = snapshot_create(project=project, config=form.config(), created_by=request.user)
        messages.success(request, _("Snapshot %(name)s is being made.") % {"name": snapshot})
        return redirect("labeling:snapshot-detail", slug, snapshot.number)
    context = {"form": form, "progress": project_progress(project)}
    return render(
        request, "labeling/snapshots/new.html", project_context(request, project, "snapshots") | context
    )


@login_required
@require_safe
def snapshot_detail(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One snapshot; for htmx only its state, which polls itself while the file is being made."""
    snapshot = snapshot_for(request.user, slug, number)
    template = "labeling/snapshots/_state.html" if request.htmx else "labeling/snapshots/detail.html"  # type: ignore[attr-defined]
    kinds = [LabelerKind(kind).label for kind in snapshot.config.get("labeler_kinds", [])]
    context = {
        "snapshot": snapshot,
        "splits": split_rows(snapshot),
        "group_key": dict(GROUP_KEY_CHOICES).get(snapshot.config.get("group_key", "")),
        "kinds": kinds,
        "revised": revised_since(snapshot),
        "neighbour": neighbour_of(snapshot),
        "newer": newest_after(snapshot),
    }
    response = render(request, template, project_context(request, snapshot.project, "snapshots") | context)
    if request.htmx and snapshot.state != SnapshotState.MAKING:  # type: ignore[attr-defined]
        response["HX-Refresh"] = "true"
    return response


def newest_after(snapshot: Snapshot) -> Snapshot | None:
    """The newest ready snapshot, if it is newer than this one."""
    ready = Snapshot.objects.filter(project=snapshot.project, state=SnapshotState.READY)
    return ready.filter(number__gt=snapshot.number).order_by("-number").first()


def neighbour_of(snapshot: Snapshot) -> Snapshot | None:
    """What the snapshot is held against first: the ready one before it, or else the one after it."""
    ready = Snapshot.objects.filter(project=snapshot.project, state=SnapshotState.READY)
    before = ready.filter(number__lt=snapshot.number).order_by("-number").first()
    return before or ready.filter(number__gt=snapshot.number).order_by("number").first()


def split_rows(snapshot: Snapshot) -> list[tuple[str, int, float | None]]:
    """Name, rows and share of each split."""
    names = {"train": _("train"), "validation": _("validation"), "test": _("test")}
    counts = [(name, snapshot.split_counts.get(key, 0)) for key, name in names.items()]
    total = snapshot.row_count
    return [(name, count, count / total if total else None) for name, count in counts]


@login_required
@require_safe
def export(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The options of an export and the first rows that they would write."""
    snapshot = snapshot_for(request.user, slug, number)
    form = ExportForm(request.GET) if request.GET else ExportForm({})
    context: dict[str, Any] = {
        "snapshot": snapshot,
        "form": form,
        "preview": [],
        "problem": "",
        "revised": revised_since(snapshot),
        "newer": newest_after(snapshot),
    }
    if form.is_valid():
        options = form.options()
        context["query"] = urlencode(
            {k: v for k, v in form.cleaned_data.items() if v not in (None, "", [])}, doseq=True
        )
        try:
            context["preview"] = preview(snapshot, options)
        except SnapshotError as error:
            context["problem"] = str(error)
    template = "labeling/snapshots/_export_preview.html" if request.htmx else "labeling/snapshots/export.html"  # type: ignore[attr-defined]
    return render(request, template, project_context(request, snapshot.project, "snapshots") | context)


def preview(snapshot: Snapshot, options: ExportOptions) -> list[str]:
    """The first rows of an export as indented JSON, from the first 200 rows of the snapshot."""
    found = export_open(snapshot, options).preview(rows=PREVIEW_ROWS, looked_at=PREVIEW_LOOKED_AT)
    return [json.dumps(entry, ensure_ascii=False, indent=2) for entry in found]


@login_required
@require_safe
def export_download(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    return _exported(request, slug, number, export_response)


@login_required
@require_safe
def export_manifest_view(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    def manifest(_request: HttpRequest, snapshot: Snapshot, options: ExportOptions) -> HttpResponse:
        found = export_manifest(snapshot, options)
        response = JsonResponse(found, json_dumps_params={"indent": 2, "ensure_ascii": False})
        response["Content-Disposition"] = f'attachment; filename="{found["file"]}.manifest.json"'
        return response

    return _exported(request, slug, number, manifest)


def _exported(request: HttpRequest, slug: str, number: int, respond: Any) -> HttpResponseBase:
    """What `respond` makes of the options, or the export page with what is wrong with them."""
    snapshot = snapshot_for(request.user, slug, number)
    form = ExportForm(request.GET)
    problem = ""
    if form.is_valid():
        try:
            found: HttpResponseBase = respond(request, snapshot, form.options())
            return found
        except SnapshotError as error:
            problem = str(error)
    context = {"snapshot": snapshot, "form": form, "problem": problem}
    return render(
        request,
        "labeling/snapshots/export.html",
        project_context(request, snapshot.project, "snapshots") | context,
        status=409 if problem else 400,
    )


@login_required
@require_safe
def export_newest(request: HttpRequest, slug: str) -> HttpResponse:
    """To the export page of the newest ready snapshot, or to the list where there is none."""
    project = project_for(request.user, slug, Capability.VIEW)
    ready = Snapshot.objects.filter(project=project, state=SnapshotState.READY).order_by("-number").first()
    if ready is None:
        messages.info(request, _("An export is written from a snapshot: make one first."))
        return redirect("labeling:snapshot-list", slug)
    return redirect("labeling:snapshot-export", slug, ready.number)
