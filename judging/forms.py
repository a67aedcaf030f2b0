"""Forms of the judging pages. They check shapes; the services check meaning."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from judging.models import Endpoint, EngineKind, JudgeVersion
from judging.selectors.selection import Selection, SelectionError, selection_from_json
from judging.services.endpoints import MAX_CONCURRENCY, MAX_DEADLINE_S
from judging.services.engines import scorer_names
from judging.services.judges import VersionSpec
from labeling.items.filters import ItemFilterError, filter_from_text
from labeling.models import Project, Snapshot, SnapshotState
from labeling.snapshots.config import SPLITS
from webapp.outbound import Secret

LANGUAGE_CHOICES = [("en", "English"), ("zh-hans", "简体中文")]


class EndpointForm(forms.Form):
    """`api_key` goes one way: it is never filled in again, and an empty one changes nothing."""

    name = forms.CharField(label=_("Name"), max_length=80)
    base_url = forms.CharField(
        label=_("Base URL"),
        max_length=500,
        help_text=_("The part before /chat/completions, for example https://api.example.com/v1"),
    )
    model = forms.CharField(label=_("Model"), max_length=200)
    api_key = forms.CharField(
        label=_("API key"),
        required=False,
        max_length=2000,
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_("Stored encrypted and never shown again. A new base URL forgets it."),
    )
    concurrency = forms.IntegerField(
        label=_("Calls at once"), min_value=1, max_value=MAX_CONCURRENCY, initial=4
    )
    deadline_s = forms.IntegerField(
        label=_("Seconds for one answer"), min_value=1, max_value=MAX_DEADLINE_S, initial=120
    )

    def full_clean(self) -> None:
        super().full_clean()
        self.ask_for_the_key_again()

    def ask_for_the_key_again(self) -> None:
        """A refused form comes back without its key; said, or the next try would be saved without one."""
        typed = self.is_bound and self.data.get(self.add_prefix("api_key"))
        if typed and self.errors and "api_key" not in self.errors:
            self.add_error("api_key", _("Enter the key again: it was not kept."))

    def values(self) -> dict[str, Any]:
        data = dict(self.cleaned_data)
        key = data.pop("api_key")
        return data | {"api_key": Secret(key) if key else None}


class VersionForm(forms.Form):
    """The settings of a judge version, for one of the three engines."""

    def __init__(self, *args: Any, project: Project, engine: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.engine = engine
        if engine == EngineKind.OPENAI:
            self._add_endpoint_fields(project)
        elif engine == EngineKind.LOCAL:
            self.fields["model"] = forms.CharField(
                label=_("Model folder"),
                max_length=500,
                help_text=_(
                    "A Hugging Face causal model with safetensors weights, under a folder that the operator "
                    "listed in CHOSEN_MODEL_DIRS. Its label probabilities are read; nothing is generated."
                ),
            )
        else:
            names = scorer_names()
            self.fields["model"] = forms.ChoiceField(
                label=_("Reward model"), choices=[(name, name) for name in names]
            )
        if engine != EngineKind.SCORER:
            self._add_prompt_fields()

    def _add_endpoint_fields(self, project: Project) -> None:
        self.fields["endpoint"] = forms.ModelChoiceField(
            Endpoint.objects.filter(project=project), label=_("Endpoint"), empty_label=None
        )
        self.fields["model"] = forms.CharField(
            label=_("Model"), max_length=200, required=False, help_text=_("Empty: the endpoint's model.")
        )

    def _add_prompt_fields(self) -> None:
        self.fields["language"] = forms.ChoiceField(label=_("Language"), choices=LANGUAGE_CHOICES)
        self.fields["rubric"] = forms.CharField(
            label=_("Rubric"),
            required=False,
            widget=forms.Textarea(attrs={"rows": 8}),
            help_text=_("What counts. Empty: a short general rubric."),
        )
        self.fields["allow_tie"] = forms.BooleanField(label=_("May say tie"), required=False, initial=True)
        if self.engine != EngineKind.OPENAI:
            return
        self.fields["reasoned"] = forms.BooleanField(
            label=_("Gives reasons before the verdict"), required=False, initial=True
        )
        self.fields["temperature"] = forms.FloatField(
            label=_("Temperature"), min_value=0.0, max_value=2.0, initial=0.0
        )
        self.fields["max_tokens"] = forms.IntegerField(
            label=_("Most tokens"), min_value=1, max_value=32_000, initial=700
        )
        self.fields["pattern"] = forms.CharField(
            label=_("Own verdict pattern"),
            required=False,
            max_length=300,
            help_text=_("RE2, one group around the label. Empty: the known formats."),
        )

    def spec(self) -> VersionSpec:
        return VersionSpec(engine=self.engine, **self.cleaned_data)

    def apply(self, error: ValidationError) -> None:
        """Show a service's refusal beside the fields that it names."""
        for name, problems in error.message_dict.items():
            self.add_error(name if name in self.fields else None, problems)


class JudgeForm(VersionForm):
    """A new judge: a name and its first version."""

    field_order = ["name"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"] = forms.CharField(label=_("Name"), max_length=80)
        self.order_fields(["name"])

    def spec(self) -> VersionSpec:
        values = {name: value for name, value in self.cleaned_data.items() if name != "name"}
        return VersionSpec(engine=self.engine, **values)


def version_initial(version: JudgeVersion) -> dict[str, Any]:
    """A version's settings as the start of the next one's form."""
    return {
        "endpoint": version.endpoint_id,
        "model": version.model,
        "language": version.language,
        "rubric": version.rubric,
        "allow_tie": version.allow_tie,
        "reasoned": version.reasoned,
        "temperature": version.sampling.get("temperature", 0.0),
        "max_tokens": version.sampling.get("max_tokens", 700),
        "pattern": version.pattern,
    }


class RunForm(forms.Form):
    """Which comparisons a run is about. `filter_json`: a filter of the list of comparisons that may be chosen, too."""

    def __init__(self, *args: Any, project: Project, filter_json: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices: list[tuple[str, Any]] = [("filter", _("those of the filter"))] if filter_json else []
        choices += [
            ("labeled", _("labeled comparisons")),
            ("all", _("all comparisons")),
            ("unlabeled", _("comparisons without labels")),
            ("disputed", _("comparisons on which people disagree")),
        ]
        ready = Snapshot.objects.filter(project=project, state=SnapshotState.READY).order_by("-number")[:5]
        choices += [
            (f"split:{snapshot.number}:{split}", f"{snapshot} · {split}")
            for snapshot in ready
            for split in reversed(SPLITS)
        ]
        self.fields["what"] = forms.ChoiceField(label=_("Comparisons"), choices=choices)
        self.fields["limit"] = forms.IntegerField(
            label=_("At most, drawn at random"),
            min_value=0,
            max_value=10_000_000,
            required=False,
            initial=None if filter_json else 100,
        )
        self.fields["filter"] = forms.CharField(
            required=False, max_length=8000, initial=filter_json, widget=forms.HiddenInput
        )

    def selection(self) -> Selection:
        kind, _colon, rest = self.cleaned_data["what"].partition(":")
        snapshot, _colon, split = rest.partition(":")
        limit = self.cleaned_data["limit"] or 0
        data: dict[str, Any] = {"kind": kind, "snapshot": snapshot or 0, "split": split, "limit": limit}
        try:
            if kind == "filter":
                data["filter"] = filter_from_text(self.cleaned_data["filter"]).to_json()
            return selection_from_json(data)
        except (SelectionError, ItemFilterError) as error:
            raise ValidationError(str(error)) from error


class TrainForm(forms.Form):
    """A judge trained on a snapshot's labels."""

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"] = forms.CharField(label=_("Name"), max_length=80, initial=_("Small local judge"))
        self.fields["snapshot"] = forms.ModelChoiceField(
            Snapshot.objects.filter(project=project, state=SnapshotState.READY).order_by("-number"),
            label=_("Snapshot"),
            empty_label=None,
        )
