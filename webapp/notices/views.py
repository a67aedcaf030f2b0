"""A person's notices: the list, one opened, all read, and the count that the bell asks for."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from webapp.notices.access import notice_for
from webapp.notices.selectors import MOST, notices_page, unread_count
from webapp.notices.services import is_own_path, notice_read, notices_read
from webapp.users.models import User


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


@login_required
@never_cache
@require_safe
def notice_list(request: HttpRequest) -> HttpResponse:
    before = request.GET.get("before", "")
    rows, next_before = notices_page(_person(request), before)
    context = {
        "rows": rows,
        "next_before": next_before,
        "is_paged": bool(before),
        "has_unread": any(row.read_at is None for row in rows),
    }
    return render(request, "notices/list.html", context)


@login_required
@require_POST
def notice_open(request: HttpRequest, pk: int) -> HttpResponse:
    """Read, and on to what it is about."""
    notice = notice_for(_person(request), pk)
    notice_read(notice)
    return redirect(notice.url if is_own_path(notice.url) else "notices:list")


@login_required
@require_POST
def read_all(request: HttpRequest) -> HttpResponse:
    notices_read(_person(request))
    return redirect("notices:list")


@never_cache
@require_safe
def count(request: HttpRequest) -> HttpResponse:
    """The bell with its number, which the page asks for every minute.

    Nothing where nobody is logged in any more: a form that somebody fills in must not give way to the log-in page.
    """
    if not isinstance(request.user, User):
        return HttpResponse(status=204)
    unread = unread_count(request.user)
    context = {"unread": unread, "shown": f"{MOST}+" if unread > MOST else str(unread), "is_counted": True}
    return render(request, "notices/_bell.html", context)
