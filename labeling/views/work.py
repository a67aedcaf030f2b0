"""Work: batches for named people, and the people themselves. Managers alone."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling.access import Capability, batch_for, labeler_for, membership_for, project_for
from labeling.models import Batch, Labeler, Membership
from labeling.pages import project_context
from labeling.selectors.work import batch_row, batch_rows, check_counts, members_who_label, person_rows
from labeling.services.batches import (
    batch_create,
    batch_delete,
    batch_extend,
    batch_release,
    batch_update,
)
from labeling.services.qualification import PERSON_DEEDS
from labeling.views.work_forms import ChangeBatchForm, ChoiceForm, NewBatchForm, refuse
from webapp.users.models import User


def labelers_of(members: list[Membership]) -> list[Labeler]:
    return [labeler_for(member.user, member.project) for member in members]


@login_required
@require_safe
def work(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.MANAGE)
    context = project_context(request, project, "work") | {
        "batches": batch_rows(project),
        "people": person_rows(project),
        "checks": check_counts(project),
    }
    return render(request, "labeling/work/work.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def work_new(request: HttpRequest, slug: str) -> HttpResponse:
    assert isinstance(request.user, User)
    project = project_for(request.user, slug, Capability.MANAGE)
    form = NewBatchForm(request.POST or None, members=members_who_label(project))
    if request.method == "POST" and form.is_valid():
        try:
            batch = batch_create(
                project=project,
                name=form.cleaned_data["name"],
                people=labelers_of(form.chosen()),
                deadline=form.cleaned_data["deadline"],
                choice=form.choice(),
                actor=request.user,
            )
        except ValidationError as error:
            refuse(form, error)
        else:
            messages.success(request, _("The batch is there. Its people get it next."))
            return redirect("labeling:work-batch", slug, batch.uid)
    return render(
        request, "labeling/work/new.html", project_context(request, project, "work") | {"form": form}
    )


@login_required
@require_http_methods(["GET", "POST"])
def work_batch(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    assert isinstance(request.user, User)
    batch = batch_for(request.user, slug, uid)
    members = members_who_label(batch.project)
    form = ChangeBatchForm(request.POST or None, members=members, initial=_initial(batch, members))
    if request.method == "POST" and form.is_valid():
        fields = {name: form.cleaned_data[name] for name in ("name", "deadline", "is_paused")}
        try:
            batch_update(batch=batch, actor=request.user, people=labelers_of(form.chosen()), **fields)
        except ValidationError as error:
            refuse(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect("labeling:work-batch", slug, uid)
    batch.refresh_from_db(fields=["name"])  # not what was refused
    context = project_context(request, batch.project, "work") | {
        "row": batch_row(batch),
        "form": form,
        "more": ChoiceForm(),
    }
    return render(request, "labeling/work/batch.html", context)


def _initial(batch: Batch, members: list[Membership]) -> dict[str, Any]:
    users = set(batch.people.values_list("labeler__user_id", flat=True))
    return {
        "name": batch.name,
        "deadline": batch.deadline,
        "is_paused": batch.is_paused,
        "people": [str(member.pk) for member in members if member.user_id in users],
    }


@login_required
@require_POST
def work_extend(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    assert isinstance(request.user, User)
    batch, form = batch_for(request.user, slug, uid), ChoiceForm(request.POST)
    try:
        if not form.is_valid():
            raise ValidationError([text for texts in form.errors.values() for text in texts])
        moved = batch_extend(batch=batch, choice=form.choice(), actor=request.user)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("%(number)d comparisons were added.") % {"number": moved})
    return redirect("labeling:work-batch", slug, uid)


@login_required
@require_POST
def work_release(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    assert isinstance(request.user, User)
    batch = batch_for(request.user, slug, uid)
    try:
        freed = batch_release(batch=batch, actor=request.user)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("%(number)d comparisons are everybody's again.") % {"number": freed})
    return redirect("labeling:work-batch", slug, uid)


@login_required
@require_POST
def work_delete(request: HttpRequest, slug: str, uid: uuid.UUID) -> HttpResponse:
    assert isinstance(request.user, User)
    batch_delete(batch=batch_for(request.user, slug, uid), actor=request.user)
    messages.success(request, _("The batch is gone; its comparisons are everybody's again."))
    return redirect("labeling:work", slug)


@login_required
@require_POST
def work_person(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Pause, resume, wave through, or let try again."""
    assert isinstance(request.user, User)
    membership = membership_for(request.user, slug, pk)
    deed = PERSON_DEEDS.get(request.POST.get("deed", ""))
    try:
        if deed is None:
            raise ValidationError(_("Choose what is to happen with this person."))
        deed(labeler=labeler_for(membership.user, membership.project), actor=request.user)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("Saved."))
    return redirect("labeling:work", slug)
