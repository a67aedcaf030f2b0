"""A person's own pages: profile, language, API tokens."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST
from django.views.i18n import set_language

from webapp.users.forms import ProfileForm, TokenForm
from webapp.users.models import ApiToken, User
from webapp.users.services import language_choose, token_create
from webapp.users.services import token_revoke as revoke


@login_required
@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    form = ProfileForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("Saved."))
        return redirect("users:profile")
    return render(request, "users/profile.html", {"form": form})


@require_POST
def language(request: HttpRequest) -> HttpResponseBase:
    """The buttons below each page: kept with the account of who has one, and in a cookie; then back to the page."""
    if isinstance(request.user, User):
        language_choose(user=request.user, language=request.POST.get("language", ""))
    response: HttpResponseBase = set_language(request)
    return response


@login_required
@require_http_methods(["GET", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    form = TokenForm(request.POST or None)
    secret = ""
    if request.method == "POST" and form.is_valid():
        _token, secret = token_create(
            user=request.user,
            name=form.cleaned_data["name"],
            scopes=form.cleaned_data["scopes"],
            expiry=form.expiry(),
        )
        form = TokenForm()
    rows = ApiToken.objects.filter(user=request.user).order_by("-created", "digest")
    context = {"form": form, "tokens": rows, "secret": secret, "now": timezone.now()}
    response = render(request, "users/tokens.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def token_revoke(request: HttpRequest, token_key: str) -> HttpResponse:
    assert isinstance(request.user, User)
    if revoke(user=request.user, token_key=token_key):
        messages.success(request, _("The token no longer works."))
    else:
        messages.error(request, _("There is no such token among yours."))
    return redirect("users:tokens")
