"""A notice belongs to the person whom it tells; to everybody else it is not there."""

from __future__ import annotations

from django.http import Http404
from django.utils.translation import gettext_lazy as _

from webapp.notices.models import Notice
from webapp.users.models import User


def notice_for(user: User, pk: int) -> Notice:
    """Raises Http404."""
    notice = Notice.objects.filter(user=user, pk=pk).first()
    if notice is None:
        raise Http404(_("There is no such notice."))
    return notice
