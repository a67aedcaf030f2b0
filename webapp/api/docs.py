"""The pages of the reference: all operations with a search, and one subject in full."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from webapp.api.pagination import IdCursorPagination
from webapp.api.reference import found_in, reference
from webapp.api.schema import own_language

QUERY_MAX = 200


@require_safe
def reference_page(request: HttpRequest) -> HttpResponse:
    """With `?subject=`, that one in full; else the list, of what `?q=` finds. For htmx the found ones alone."""
    chapters = reference(own_language())
    context: dict[str, Any] = {"chapters": chapters, "origin": request.build_absolute_uri("/").rstrip("/")}
    if wanted := request.GET.get("subject"):
        chapter = next((one for one in chapters if one.key == wanted), None)
        if chapter is None:
            raise Http404(_("REST has no subject of this name."))
        return render(request, "api/subject.html", {**context, "chapter": chapter})
    query = request.GET.get("q", "")[:QUERY_MAX]
    found = found_in(chapters, query)
    rest: dict[str, Any] = settings.REST_FRAMEWORK
    context |= {
        "query": query,
        "found": found,
        "count": sum(len(chapter.operations) for chapter in found),
        "rate": rest["DEFAULT_THROTTLE_RATES"]["user"],
        "page_size": rest["PAGE_SIZE"],
        "page_size_max": IdCursorPagination.max_page_size,
    }
    template = "api/_found.html" if request.htmx else "api/docs.html"  # type: ignore[attr-defined]
    return render(request, template, context)
