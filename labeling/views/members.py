"""People of a project: members, roles, invitations."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from labeling.access import Capability, membership_for, project_for
from labeling.forms import AcceptForm, InviteForm, RoleForm
from labeling.models import Role
from labeling.pages import project_context
from labeling.services.projects import (
    InvitationProblem,
    account_create,
    invitation_accept,
    invitation_by_token,
    invitation_create,
    invitation_project,
    membership_change,
)
from webapp.users.models import User


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def members(request: HttpRequest, slug: str) -> HttpResponse:
    assert isinstance(request.user, User)
    project = project_for(request.user, slug, Capability.MANAGE)
    form = InviteForm(request.POST or None)
    link = ""
    if request.method == "POST" and form.is_valid():
        _invitation, token = invitation_create(project=project, invited_by=request.user, **form.cleaned_data)
        link = request.build_absolute_uri(f"/invitations/{token}/")
        form = InviteForm()
    context = project_context(request, project, "people") | {
        "form": form,
        "link": link,
        "memberships": project.memberships.select_related("user").order_by("role", "id"),
        "invitations": project.invitations.filter(accepted_at__isnull=True, expires_at__gt=timezone.now()),
        "roles": Role.choices,
    }
    return render(request, "labeling/projects/members.html", context)


@login_required
@require_POST
def member_change(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    assert isinstance(request.user, User)
    membership = membership_for(request.user, slug, pk)
    removes = "remove" in request.POST
    form = RoleForm(request.POST)
    if not removes and not form.is_valid():
        messages.error(request, _("Choose one of the roles."))
        return redirect("labeling:members", slug)
    try:
        membership_change(
            membership=membership, role=None if removes else form.cleaned_data["role"], actor=request.user
        )
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("Saved."))
    return redirect("labeling:members", slug)


@never_cache
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Accept an invitation: with the account one is logged in to, or with a new one.

    Whoever is in the project already is led there, and the link stays open for the person it is meant for.
    """
    joined = invitation_project(token, request.user) if isinstance(request.user, User) else None
    if joined is not None:
        messages.info(request, _("You are a member of this project already."))
        return redirect("labeling:project", joined.slug)
    try:
        return _accept(request, token)
    except InvitationProblem as problem:
        return render(
            request, "labeling/projects/invitation_problem.html", {"problem": problem.messages[0]}, status=410
        )


def _accept(request: HttpRequest, token: str) -> HttpResponse:
    """Raises InvitationProblem."""
    found = invitation_by_token(token)
    if isinstance(request.user, User):
        if request.method == "POST":
            invitation_accept(token=token, user=request.user)
            return redirect("labeling:project", found.project.slug)
        return render(request, "labeling/projects/invitation.html", {"invitation": found, "form": None})
    form = AcceptForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = account_create(token=token, **form.cleaned_data)
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        return redirect("labeling:project", found.project.slug)
    return render(request, "labeling/projects/invitation.html", {"invitation": found, "form": form})
