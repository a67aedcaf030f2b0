"""Reading a person's notices."""

from __future__ import annotations

from django.db.models import QuerySet

from webapp.notices.models import Notice
from webapp.users.models import User

PAGE_SIZE = 30
# The bell says no more than this; counting ends there.
MOST = 99


def notices_of(user: User) -> QuerySet[Notice]:
    return Notice.objects.filter(user=user).order_by("-pk")


def unread_count(user: User) -> int:
    """At most one more than MOST."""
    return Notice.objects.filter(user=user, read_at__isnull=True).order_by()[: MOST + 1].count()


def notices_page(user: User, before: str) -> tuple[list[Notice], int | None]:
    """One page below a notice's number, and the number to go on from."""
    rows = notices_of(user)
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    found = list(rows[: PAGE_SIZE + 1])
    return found[:PAGE_SIZE], found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else None
