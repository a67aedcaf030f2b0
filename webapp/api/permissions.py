"""Token scopes. A session (the browser) may do what its person may; a token only what its scopes name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from rest_framework.permissions import SAFE_METHODS, BasePermission

from webapp.users.models import ApiToken, TokenScope

if TYPE_CHECKING:  # DRF reads this module while its own views are still loading
    from rest_framework.request import Request
    from rest_framework.views import APIView


def scope_of(view: APIView, method: str) -> str:
    """Reads need `read`, all else needs `write`, unless the view names `required_scopes = {"POST": "label"}`."""
    default = TokenScope.READ if method in SAFE_METHODS else TokenScope.WRITE
    return str(getattr(view, "required_scopes", {}).get(method, default))


class HasTokenScope(BasePermission):
    """A token must have the scope of what it asks for."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        token = request.auth
        if not isinstance(token, ApiToken):
            return True
        scope = scope_of(view, str(request.method))
        self.message = _("This token lacks the scope “%(scope)s”.") % {"scope": scope}
        return token.allows(scope)
