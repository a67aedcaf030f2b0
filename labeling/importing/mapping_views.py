"""The page on which a manager says which key of a file is what, with a live preview of its first rows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from labeling.access import import_for
from labeling.importing.checking import record_preview
from labeling.importing.layouts import parse_row
from labeling.importing.mapping_form import MappingForm, initial_of, keys_shown
from labeling.importing.options import ImportOptions
from labeling.importing.pages import RECHECKABLE, preview_row, remembered_mapping
from labeling.importing.problems import ProblemError
from labeling.importing.records import record_pairs
from labeling.importing.services import ImportStateError, import_recheck
from labeling.models import Import
from labeling.pages import project_context
from webapp.users.models import User

PREVIEW_ROWS = 5


@login_required
@require_http_methods(["GET", "POST"])
def import_mapping(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    """POST shows a preview to htmx, checks the file by the mapping for a form, and forgets it with `forget`."""
    import_ = import_for(request.user, slug, uid)
    if "forget" in request.POST:
        return _check(request, import_, {})
    is_live = bool(request.htmx)  # type: ignore[attr-defined]
    if request.method == "POST":
        form = checked = MappingForm(import_.sample, request.POST)
        if not is_live and form.is_valid():
            return _check(request, import_, form.cleaned_data["mapping"].as_json())
    else:
        initial = initial_of(import_.sample, import_.mapping or remembered_mapping(import_))
        form, checked = MappingForm(import_.sample, initial=initial), MappingForm(import_.sample, initial)
    context = {"import": import_, "form": form, **_preview(import_, checked)}
    if is_live:
        return render(request, "labeling/importing/_mapped.html", context)
    context |= {"keys": keys_shown(import_.sample), "can_recheck": import_.state in RECHECKABLE}
    page = project_context(request, import_.project, "imports") | context
    return render(request, "labeling/importing/mapping.html", page)


def _check(request: HttpRequest, import_: Import, mapping: dict[str, Any]) -> HttpResponse:
    assert isinstance(request.user, User)
    options = ImportOptions.from_json(import_.options)
    try:
        import_recheck(import_, options=options, mapping=mapping, actor=request.user)
    except ImportStateError as error:
        messages.error(request, str(error))
    return redirect("labeling:import-detail", import_.project.slug, import_.uid)


def _preview(import_: Import, form: MappingForm) -> dict[str, Any]:
    """The first rows as this form would read them, or the first thing that is wrong with it."""
    if not form.is_valid():
        return {"problem": form.problem}
    layout = form.cleaned_data["mapping"].layout()
    options, rows, faults = ImportOptions.from_json(import_.options), [], []
    for line, row in enumerate(import_.sample[:PREVIEW_ROWS], start=1):
        try:
            record = parse_row(layout, row, line)
        except ProblemError as error:
            faults.append({"line": line, "message": error.problem.message})
            continue
        pairs = record_pairs(record, options.pairs)
        rows.append(preview_row(record_preview(record, len(pairs), record.group)))
    return {"preview": rows, "faults": faults}
