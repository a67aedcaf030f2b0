"""What every request goes through before the app looks at it."""

from __future__ import annotations

from collections.abc import Callable

from csp.constants import HEADER
from csp.utils import build_policy
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse


class NoNulMiddleware:
    """Refuses an address with a NUL character: no value here has one, and PostgreSQL fails on it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\x00" not in request.path and "%00" not in request.META.get("QUERY_STRING", ""):
            return self.get_response(request)
        if request.path.startswith("/api/"):
            message = "The address holds a NUL character."
            return JsonResponse(
                {"error": {"code": "invalid", "message": message, "detail": None}}, status=400
            )
        return HttpResponseBadRequest()


class ContentPolicyMiddleware:
    """The Content-Security-Policy of the settings, on every response. It is the same for all, so it is put into words
    once; django-csp's own middleware does that twice for each."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.policy = build_policy()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault(HEADER, self.policy)
        return response
