"""The ranking of the models that wrote the responses: the page, and its table as CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from labeling.access import Capability, project_for
from labeling.exporting.writers import csv_cell
from labeling.items.choices import filter_choices
from labeling.models import Project, Snapshot, SnapshotState
from labeling.pages import project_context
from labeling.selectors.model_ranking import ModelRanking, Standing, VoiceRanking, model_ranking
from labeling.selectors.snapshot_ranking import snapshot_ranking
from labeling.snapshots import SnapshotError
from webapp.ui.tracks import Scale, interval_track, share_scale

MARKS = {"people": "●", "judge": "◆", "model": "▲"}
SNAPSHOTS_SHOWN = 50
NOTHING = ModelRanking((), (), 0, False, False)


class RankingForm(forms.Form):
    """What the ranking is of, for the page and for REST."""

    snapshot = forms.ModelChoiceField(
        Snapshot.objects.none(), to_field_name="number", label=gettext_lazy("Labels of"), required=False
    )
    length_control = forms.BooleanField(label=gettext_lazy("At equal length"), required=False)
    language = forms.CharField(label=gettext_lazy("Language"), required=False, max_length=12)
    topic = forms.CharField(label=gettext_lazy("Topic"), required=False, max_length=120)

    def __init__(self, project: Project, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        self.project = project
        ready = Snapshot.objects.filter(project=project, state=SnapshotState.READY)
        self.snapshots = ready.select_related("project").order_by("-number")
        cast("forms.ModelChoiceField[Snapshot]", self.fields["snapshot"]).queryset = self.snapshots

    def ranking(self) -> ModelRanking:
        """Of a form that is not valid: the ranking of everything. Raises SnapshotError."""
        data = self.cleaned_data if self.is_valid() else {}
        wanted = {
            "controlled": bool(data.get("length_control")),
            "language": data.get("language", ""),
            "topic": data.get("topic", ""),
        }
        snapshot = data.get("snapshot")
        return snapshot_ranking(snapshot, **wanted) if snapshot else model_ranking(self.project, **wanted)

    def query(self) -> dict[str, Any]:
        """What was asked for, as the address has it."""
        asked = {name: value for name, value in getattr(self, "cleaned_data", {}).items() if value}
        return {
            name: value.number if isinstance(value, Snapshot) else "on" if value is True else value
            for name, value in asked.items()
        }


@dataclass(frozen=True)
class Cell:
    """A model by a voice, with its drawing; `standing` is None where the voice says nothing of it."""

    voice: str
    mark: str
    standing: Standing | None
    track: SafeString | str


@login_required
@require_safe
def ranking_page(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, Capability.VIEW)
    form = RankingForm(project, request.GET)
    problem, found = "", NOTHING
    try:
        found = form.ranking()
    except SnapshotError as error:
        problem = str(error)
    wanted = form.query()
    other = {name: value for name, value in wanted.items() if name != "length_control"}
    ranked = [voice for voice in found.voices if voice.standings]
    ends = [
        end
        for voice in ranked
        for entry in voice.standings.values()
        for end in (entry.share.value, *((entry.share.low, entry.share.high) if not entry.only else ()))
    ]
    scale = share_scale(ends, (0.5,))
    context = {
        "found": found,
        "wanted": wanted,
        "problem": problem,
        "snapshots": form.snapshots[:SNAPSHOTS_SHOWN],
        "choices": filter_choices(project),
        "columns": [(named(voice), MARKS[voice.kind], voice) for voice in found.voices],
        "ranked": ranked,
        "rows": [(model, [cell(voice, model, scale) for voice in ranked]) for model in found.models],
        "scale": scale,
        "query": urlencode(wanted),
        "switched": urlencode({**other, **({} if found.controlled else {"length_control": "on"})}),
    }
    return render(
        request,
        "labeling/model_ranking/page.html",
        project_context(request, project, "agreement") | context,
    )


def named(voice: VoiceRanking) -> str:
    return _("People") if voice.kind == "people" else voice.name


def cell(voice: VoiceRanking, model: str, scale: Scale) -> Cell:
    found = voice.standings.get(model)
    track: SafeString | str = ""
    if found is not None and not found.only:
        track = interval_track(scale, found.share.value, found.share.low, found.share.high)
    return Cell(named(voice), MARKS[voice.kind], found, track)


@login_required
@require_safe
def ranking_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """The table, a line for each model and voice."""
    project = project_for(request.user, slug, Capability.VIEW)
    try:
        found = RankingForm(project, request.GET).ranking()
    except SnapshotError as error:
        return HttpResponse(str(error), status=409, content_type="text/plain; charset=utf-8")
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{project.slug}-models.csv"'
    writer = csv.writer(response)
    writer.writerow(
        ["model", "voice", "name", "rank", "group", "games", "win_share", "low", "high", "elo", "only"]
    )
    for line in lines(found):
        writer.writerow([csv_cell(value) for value in line])
    return response


def lines(found: ModelRanking) -> list[list[Any]]:
    """A line for each model and voice; `group` numbers models that games link."""
    return [
        [
            model, voice.kind, voice.name, entry.rank, entry.group, entry.share.n, entry.share.value,
            entry.share.low, entry.share.high, entry.elo, entry.only,
        ]
        for voice in found.voices
        for model in found.models
        if (entry := voice.standings.get(model)) is not None
    ]  # fmt: skip
