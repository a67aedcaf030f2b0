"""The form on which a file's keys are told what they are, for one sample of the file."""

from __future__ import annotations

from typing import Any

import orjson
from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.importing.mapping import TARGETS, Mapping, MappingError
from labeling.importing.sample import guessed_columns, guessed_values, sample_keys
from labeling.importing.texts import mapping_message

LABELS = {
    "prompt": _("Prompt"),
    "system": _("System message"),
    "chosen": _("Chosen response"),
    "rejected": _("Rejected response"),
    "response_a": _("Response A"),
    "response_b": _("Response B"),
    "winner": _("Which one is better"),
    "strength": _("Strength or margin"),
    "annotator": _("Labeler"),
    "rationale": _("Reason"),
    "model_a": _("Model of response A, or of the chosen one"),
    "model_b": _("Model of response B, or of the rejected one"),
    "id": _("Id"),
    "group": _("Keep together"),
    "language": _("Language"),
    "topic": _("Topic"),
}
VALUE_LABELS = {
    "a": _("It says that A is better with"),
    "b": _("… that B is better with"),
    "tie": _("… that both are equal with"),
    "both_bad": _("… that both are bad with"),
}
TEXT_TARGETS = ("prompt", "system", "chosen", "rejected", "response_a", "response_b")


class MappingForm(forms.Form):
    """A choice of key for each target, and what the winner's key says. `cleaned_data["mapping"]` is the Mapping."""

    def __init__(self, sample: list[dict[str, Any]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", _("– none –")), *((key, key) for key in sample_keys(sample))]
        for target in TARGETS:
            self.fields[target] = forms.ChoiceField(label=LABELS[target], choices=choices, required=False)
        for outcome, label in VALUE_LABELS.items():
            self.fields[f"says_{outcome}"] = forms.CharField(label=label, required=False, max_length=300)

    @property
    def texts(self) -> list[forms.BoundField]:
        return [self[target] for target in TEXT_TARGETS]

    @property
    def votes(self) -> list[forms.BoundField]:
        names = (
            "winner",
            *(f"says_{outcome}" for outcome in VALUE_LABELS),
            "strength",
            "annotator",
            "rationale",
        )
        return [self[name] for name in names]

    @property
    def facts(self) -> list[forms.BoundField]:
        return [self[name] for name in ("model_a", "model_b", "id", "group", "language", "topic")]

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        columns = {target: data.get(target, "") for target in TARGETS}
        values = {outcome: data.get(f"says_{outcome}", "").split(",") for outcome in VALUE_LABELS}
        try:
            data["mapping"] = Mapping.from_json({"columns": columns, "winner_values": values})
        except MappingError as error:
            self.add_error(error.target if error.target in self.fields else None, mapping_message(error))
        return data

    @property
    def problem(self) -> str:
        """The first thing that is wrong with the choices, "" if nothing is."""
        for errors in self.errors.values():
            return str(errors[0])
        return ""


def initial_of(sample: list[dict[str, Any]], mapping: dict[str, Any]) -> dict[str, str]:
    """What the form shows at first: the mapping that there is, else what the keys seem to be."""
    columns = mapping.get("columns") or guessed_columns(sample_keys(sample))
    values = guessed_values(sample, columns.get("winner", "")) | mapping.get("winner_values", {})
    return columns | {f"says_{outcome}": ", ".join(words) for outcome, words in values.items()}


def keys_shown(sample: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every key of the file with three of its cells, cut."""
    return [
        {"key": key, "cells": [_cell(row[key]) for row in sample if row.get(key) not in (None, "")][:3]}
        for key in sample_keys(sample)
    ]


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= 80 else f"{text[:79]}…"
