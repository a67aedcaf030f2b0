"""What a page's address asks for, read without trust."""

from __future__ import annotations

from django.http import Http404, HttpRequest, QueryDict
from django.utils.translation import gettext as _

from labeling.access import snapshot_for
from labeling.models import Snapshot, SnapshotState
from webapp.users.models import User


def number_asked(values: QueryDict, name: str) -> int | None:
    """A whole number of at most eight digits, or None for anything else."""
    raw = values.get(name, "")
    return int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 9 else None


def snapshot_asked(request: HttpRequest, slug: str, values: QueryDict) -> Snapshot | None:
    """The snapshot that `snapshot` names; None where it names none. Raises Http404 for one that is not there, or that
    cannot be read yet."""
    number = number_asked(values, "snapshot")
    if number is None:
        return None
    snapshot = snapshot_for(request.user, slug, number)
    if snapshot.state != SnapshotState.READY:
        raise Http404(_("Snapshot %(snapshot)s is not ready.") % {"snapshot": snapshot})
    return snapshot


def person(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None
