"""Token scopes. A session (the browser) may do what its person may; a token only what its scopes name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from rest_framework.permissions import SAFE_METHODS, BasePermission

from webapp.users.models import ApiToken, TokenScope

if TYPE_CHECKING:  # DRF reads this module while its own views are still loading
    from rest_framework.request import Request
    from rest_framework.views import APIView


class HasTokenScope(BasePermission):
    """Reads need `read`, all else needs `write`, unless the view names `required_scopes = {"POST": "label"}`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        token = request.auth
        if not isinstance(token, ApiToken):
            return True
        default = TokenScope.READ if request.method in SAFE_METHODS else TokenScope.WRITE
        scope = getattr(view, "required_scopes", {}).get(request.method, default)
        self.message = _("This token lacks the scope “%(scope)s”.") % {"scope": scope}
        return token.allows(scope)
