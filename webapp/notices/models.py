"""What the app tells single people: one row for each person and occasion."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from webapp.jobs.messages import MessageField


class Notice(models.Model):
    """`text` is put into the reader's language when read; `url` is a path of this site."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("person"),
        on_delete=models.CASCADE,
        db_index=False,
        related_name="notices",
    )
    # The ground storey does not know projects, so a plain number stands for one.
    project_id = models.BigIntegerField(_("project"), null=True, blank=True, db_index=True)
    kind = models.CharField(_("kind"), max_length=40)
    text = MessageField(_("text"))
    url = models.CharField(_("address"), max_length=500)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        indexes = [
            models.Index(fields=["user", "-id"], name="notice_user"),
            models.Index(fields=["user"], name="notice_unread", condition=Q(read_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return str(self.text)
