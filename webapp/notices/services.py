"""Telling people, and noting what they have read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db.models.functions import Now
from django.utils.http import url_has_allowed_host_and_scheme

from webapp.jobs.messages import Message
from webapp.notices.models import Notice
from webapp.users.models import User

KEEP = timedelta(days=90)


def notice_send(
    *, users: Iterable[User], kind: str, text: Message, url: str, project_id: int | None = None
) -> int:
    """Tell these people, inside the caller's transaction; each is told once. Returns how many.

    `url` is the path that the notice leads to; ValueError for anything that may lead off this site. A labeler
    reads the text at any time, also before a vote: nothing of outcomes, models or verdicts belongs into it.
    """
    if not is_own_path(url):
        raise ValueError(f"a notice leads to a path of this site, not to {url!r}")
    people = sorted({user.pk for user in users if user.is_active})
    Notice.objects.bulk_create(
        Notice(user_id=pk, kind=kind, text=text, url=url, project_id=project_id) for pk in people
    )
    return len(people)


def is_own_path(url: str) -> bool:
    return url.startswith("/") and url_has_allowed_host_and_scheme(url, allowed_hosts=None)


def notice_read(notice: Notice) -> None:
    Notice.objects.filter(pk=notice.pk, read_at__isnull=True).update(read_at=Now())


def notices_read(user: User) -> int:
    """Everything that the person was told counts as read. Returns how many notices were not."""
    return Notice.objects.filter(user=user, read_at__isnull=True).update(read_at=Now())


def notices_remove(project_id: int) -> int:
    """Remove what was told of a project; call it in the transaction that deletes the project."""
    removed, _by_model = Notice.objects.filter(project_id=project_id).delete()
    return removed


def notices_sweep() -> int:
    """Remove what is older than 90 days. Returns how many notices are gone."""
    removed, _by_model = Notice.objects.filter(created_at__lt=Now() - KEEP).delete()
    return removed
