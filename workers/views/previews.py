"""What a model reads: the exact text and tokens of one response, for a model or for the settings of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from labeling.access import Capability, comparison_for, project_for
from labeling.models import Comparison, Project
from labeling.pages import project_context
from workers.access import model_for, preview_for
from workers.errors import BadTrainingConfig, PreviewsBusy, ReadsNoTokens
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
        label=_("Or a prompt of your own"),
        required=False,
        max_length=MOST_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    answer = forms.CharField(
        label=_("and a response to it"),
        required=False,
        max_length=MOST_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 4}),
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("prompt") and not data.get("answer"):
            self.add_error("answer", _("Write a response to the prompt, too."))
        return data


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def preview_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose what reads and what is read. A POST names a `reader`, or the settings of a training as its form has them;
    asked for by htmx it answers with the live part alone."""
    posted = request.method == "POST"
    project = project_for(request.user, slug, Capability.MANAGE)
    values = request.POST if posted else request.GET
    number = number_asked(values, "reader")
    model = model_for(request.user, slug, number, Capability.MANAGE) if number else None
    text = TextForm(request.POST or None, initial={"comparison": number_asked(values, "comparison")})
    told: dict[str, Any] = {}
    if posted and text.is_valid():
        try:
            reading = _reading(request, project, text)
            reader = Reader(model=model) if model else _settings_sent(request, project)
            job = preview_start(project=project, reader=reader, reading=reading, created_by=person(request))
        except (BadTrainingConfig, PreviewsBusy) as error:
            told = {"problems": [str(error)]}
        except ReadsNoTokens as error:
            told = {"no_tokens": str(error)}
        else:
            return redirect("workers:preview-detail", slug, job.uid)
    context = (
        project_context(request, project, "models")
        | _choices(project)
        | {
            "text": text,
            "chosen": model.number if model else None,
            "settings": settings_again(request.POST) if posted and not model else [],
        }
    )
    live = request.htmx  # type: ignore[attr-defined]
    template = "workers/_preview_problems.html" if live else "workers/preview.html"
    return render(request, template, context | told)


def _settings_sent(request: HttpRequest, project: Project) -> Reader:
    """The settings of a training, from its form. Raises BadTrainingConfig with what is wrong with each field."""
    form = KindForm(request.POST, project=project)
    if not form.is_valid():
        fields = [
            f"{form[name].label}: {said[0]}" for name, said in form.errors.items() if name in form.fields
        ]
        raise BadTrainingConfig(" ".join([*fields, *form.non_field_errors()]))
    return Reader(kind=form.cleaned_data["kind"], config=form.config())


def _choices(project: Project) -> dict[str, Any]:
    models = RewardModel.objects.filter(project=project).order_by("-number")
    return {"models": list(models[:MODELS_SHOWN])}


def settings_again(sent: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Training settings as hidden fields of the form, to be sent again with another text."""
    fields = {name: field for name, field in KindForm.base_fields.items() if name in sent}
    plain = {name: field.prepare_value(sent[name]) for name, field in fields.items()}
    return [
        (name, "on" if value is True else str(value))
        for name, value in plain.items()
        if value not in (None, "") and value is not False
    ]


def _reading(request: HttpRequest, project: Project, text: TextForm) -> Reading:
    """The text that is meant: one's own before a comparison, the newest comparison where nothing is named."""
    data = text.cleaned_data
    if data["answer"]:
        return Reading(prompt=data["prompt"], answer=data["answer"])
    if data["comparison"]:
        try:
            found: Comparison | None = comparison_for(request.user, project.slug, data["comparison"])
        except Http404:
            raise BadTrainingConfig(
                _("This project has no comparison #%(number)d.") % {"number": data["comparison"]}
            ) from None
    else:
        found = Comparison.objects.filter(project=project).order_by("-pk").first()
    if found is None:
        raise BadTrainingConfig(_("This project has no comparison yet: write a prompt and a response."))
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
