"""What a model reads: the exact text and tokens of one response, for a model or for the settings of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from labeling.access import Capability, comparison_for, project_for
from labeling.models import Comparison, Project
from labeling.pages import project_context
from workers.access import model_for, preview_for
from workers.errors import BadTrainingConfig
from workers.forms import KindForm
from workers.models import RewardModel
from workers.selectors.previews import preview_page
from workers.services.previews import Reader, Reading, preview_start
from workers.views.asking import number_asked, person

MODELS_SHOWN = 100
MOST_CHARACTERS = 200_000


class TextForm(forms.Form):
    """What is to be read: a comparison's response, or a text of one's own."""

    comparison = forms.IntegerField(
        label=_("Comparison"),
        required=False,
        min_value=1,
        help_text=_("Its number, as in the list of comparisons. Empty: the newest one."),
    )
    side = forms.ChoiceField(
        label=_("Response"), required=False, choices=[("a", _("Response A")), ("b", _("Response B"))]
    )
    prompt = forms.CharField(
        label=_("Or a prompt of your own"), required=False, max_length=MOST_CHARACTERS, widget=forms.Textarea
    )
    answer = forms.CharField(
        label=_("and a response to it"), required=False, max_length=MOST_CHARACTERS, widget=forms.Textarea
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("prompt") and not data.get("answer"):
            self.add_error("answer", _("Write a response to the prompt, too."))
        return data


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def preview_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose what reads and what is read. A POST names a `model`, or the settings of a training as its form has them;
    asked for by htmx it answers with the live part alone."""
    project = project_for(request.user, slug, Capability.MANAGE)
    values = request.POST if request.method == "POST" else request.GET
    number = number_asked(values, "model")
    model = model_for(request.user, slug, number, Capability.MANAGE) if number else None
    text = TextForm(request.POST or None, initial={"comparison": number_asked(values, "comparison")})
    kind = KindForm(request.POST if request.method == "POST" and not model else None)
    problems: list[str] = []
    if request.method == "POST" and text.is_valid() and (model or kind.is_valid()):
        reading = _reading(request, project, text)
        if reading is None:
            problems = [str(_("This project has no comparison yet: write a prompt and a response."))]
        else:
            try:
                job = preview_start(
                    project=project,
                    reader=_reader(model, kind),
                    reading=reading,
                    created_by=person(request),
                )
            except BadTrainingConfig as error:
                problems = [str(error)]
            else:
                return redirect("workers:preview-detail", slug, job.uid)
    elif request.method == "POST" and not model:
        problems = [
            f"{kind[name].label}: {said[0]}" for name, said in kind.errors.items() if name in kind.fields
        ]
    context = (
        project_context(request, project, "models")
        | _choices(project)
        | {
            "text": text,
            "chosen": model.number if model else None,
            "settings": settings_again(request.POST) if request.method == "POST" and not model else [],
            "problems": problems,
        }
    )
    live = request.htmx  # type: ignore[attr-defined]
    return render(request, "workers/_preview_problems.html" if live else "workers/preview.html", context)


def _choices(project: Project) -> dict[str, Any]:
    models = RewardModel.objects.filter(project=project).order_by("-number")
    return {"models": list(models[:MODELS_SHOWN])}


def settings_again(sent: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Training settings as hidden fields of the form, to be sent again with another text."""
    plain = {name: sent[name] for name in KindForm.base_fields if sent.get(name) not in (None, "", False, [])}
    return [(name, "on" if value is True else str(value)) for name, value in plain.items()]


def _reader(model: RewardModel | None, kind: KindForm) -> Reader:
    if model is not None:
        return Reader(model=model)
    return Reader(kind=kind.cleaned_data["kind"], config=kind.config())


def _reading(request: HttpRequest, project: Project, text: TextForm) -> Reading | None:
    """The text that is meant: a text of one's own before a comparison, the newest comparison where nothing is named."""
    data = text.cleaned_data
    if data["answer"]:
        return Reading(prompt=data["prompt"], answer=data["answer"])
    if data["comparison"]:
        found: Comparison | None = comparison_for(request.user, project.slug, data["comparison"])
    else:
        found = Comparison.objects.filter(project=project).order_by("-pk").first()
    if found is None:
        return None
    return Reading(comparison=found, side=data["side"] or "a")


@login_required
@require_safe
def preview_detail(request: HttpRequest, slug: str, uid: UUID) -> HttpResponse:
    """The result, or how far its job is; asked for by htmx the live part alone."""
    job = preview_for(request.user, slug, uid)
    project = project_for(request.user, slug, Capability.MANAGE)
    page = preview_page(job)
    context = (
        project_context(request, project, "models")
        | _choices(project)
        | page
        | {
            "job": job,
            "text": TextForm(initial=page["asked"]),
            "settings": settings_again({"kind": job.params.get("kind"), **job.params.get("config", {})}),
        }
    )
    live = request.htmx  # type: ignore[attr-defined]
    return render(request, "workers/_preview.html" if live else "workers/preview.html", context)
