"""Who sends a request with an API token."""

from __future__ import annotations

from hmac import compare_digest

from django.db.models import CharField
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from knox import auth
from knox.crypto import hash_token
from knox.settings import CONSTANTS
from rest_framework.exceptions import AuthenticationFailed

from webapp.kept import Kept
from webapp.users.models import ApiToken, User

_BY_KEY: Kept[ApiToken] = Kept(
    lambda key: (
        ApiToken.objects.filter(token_key=key)
        .select_related("user")
        .defer("user__password", "user__last_login", "user__date_joined", "created", "last_used_at")
    ),
    key=CharField(),
)


class TokenAuthentication(auth.TokenAuthentication):
    """Knox's, in one kept query: it looks for what has expired when an expired token is used, not with each request."""

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiToken]:
        text = token.decode(errors="replace")
        digest = hash_token(text)
        for row in _BY_KEY.rows(key=text[: CONSTANTS.TOKEN_KEY_LENGTH]):
            if row.expiry is not None and row.expiry < timezone.now():
                self._cleanup_token(row)
            elif compare_digest(digest, row.digest):
                return self.validate_user(row)  # type: ignore[no-any-return]
        raise AuthenticationFailed(_("Invalid token."))


class TokenScheme(KnoxTokenScheme):  # type: ignore[no-untyped-call]
    """Describes it in the OpenAPI schema, which knows knox's own class alone."""

    target_class = "webapp.users.tokens.TokenAuthentication"
