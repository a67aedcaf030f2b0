"""People who log in, and the tokens that machines use in their name."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from knox.models import AbstractAuthToken


class User(AbstractUser):  # type: ignore[django-manager-missing]  # knox gives its manager no types
    """One person. Roles live on the membership in a project, not here."""

    display_name = models.CharField(_("name shown"), max_length=120, blank=True)
    language = models.CharField(_("language"), max_length=10, choices=settings.LANGUAGES, blank=True)

    def __str__(self) -> str:
        return self.display_name or self.username


class TokenScope(models.TextChoices):
    READ = "read", pgettext_lazy("scope", "read")
    LABEL = "label", pgettext_lazy("scope", "label")
    WRITE = "write", pgettext_lazy("scope", "write")
    SCORE = "score", pgettext_lazy("scope", "score")


class ApiToken(AbstractAuthToken):
    """A named token with scopes and an expiry. Only its hash is stored."""

    name = models.CharField(_("name"), max_length=120)
    scopes = models.JSONField(_("scopes"), default=list)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return self.name

    def allows(self, scope: str) -> bool:
        return scope in self.scopes
