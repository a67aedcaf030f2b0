"""Deeds about people and their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.db import transaction

from webapp.audit.services import record
from webapp.users.models import ApiToken, User


def language_choose(*, user: User, language: str) -> None:
    """Keep the person's language. One that there are no texts in changes nothing."""
    if language in dict(settings.LANGUAGES) and language != user.language:
        user.language = language
        user.save(update_fields=["language"])


@transaction.atomic
def token_create(*, user: User, name: str, scopes: Sequence[str], expiry: timedelta) -> tuple[ApiToken, str]:
    """A new token and its secret text. The text is shown once; only its hash stays."""
    token, text = ApiToken.objects.create(user=user, expiry=expiry, name=name, scopes=sorted(set(scopes)))
    record(action="token.create", subject=name, actor=user, scopes=token.scopes)
    return token, text


@transaction.atomic
def token_revoke(*, user: User, token_key: str) -> bool:
    """Delete the person's own token; False if there is none with this key."""
    token = ApiToken.objects.filter(user=user, token_key=token_key).first()
    if token is None:
        return False
    record(action="token.revoke", subject=token.name, actor=user)
    token.delete()
    return True
