"""The retrain policy of a project."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from labeling.access import Capability, project_for
from labeling.pages import project_context
from webapp.users.models import User
from workers.forms import PolicyForm
from workers.models import RetrainPolicy, RunTrigger
from workers.selectors.judged import judge_choice, judge_version_of
from workers.selectors.policies import new_labels, next_due
from workers.selectors.runs import runs
from workers.services.policies import policy_save


def _initial(saved: RetrainPolicy | None) -> dict[str, Any]:
    if saved is None:
        return {"every_n_labels": 100}
    judge = judge_version_of(saved.project_id, saved.config) if saved.config.get("judge") else None
    return {
        **saved.config,
        "judge": judge_choice(judge) if judge else "",
        "is_enabled": saved.is_enabled,
        "every_n_labels": saved.every_n_labels,
        "cron": saved.cron,
        "kind": saved.kind,
    }


@login_required
@require_http_methods(["GET", "POST"])
def policy(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.MANAGE)
    saved = RetrainPolicy.objects.filter(project=project).first()
    form = PolicyForm(request.POST or None, initial=_initial(saved), project=project)
    if request.method == "POST" and form.is_valid():
        try:
            policy_save(
                project=project,
                values=form.values(),
                user=request.user if isinstance(request.user, User) else None,
            )
        except ValidationError as error:
            for name, problems in error.message_dict.items():
                form.add_error(name if name in form.fields else None, problems)
        else:
            messages.success(request, _("Saved."))
            return redirect("workers:policy", slug)
    context = project_context(request, project, "models") | {
        "form": form,
        "policy": saved,
        "new_labels": new_labels(saved).count if saved else 0,
        "next_due": next_due(saved) if saved else None,
        "runs": runs(project).exclude(trigger=RunTrigger.MANUAL)[:10],
    }
    return render(request, "workers/policy.html", context)
