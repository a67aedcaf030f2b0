"""The form of a new snapshot."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.models import LabelerKind
from labeling.snapshots.config import SnapshotConfigError, read_config

GROUP_KEY_CHOICES = [
    ("group", _("prompts of one group")),
    ("prompt", _("each prompt alone")),
    ("topic", _("prompts of one topic")),
]

WEIGHT_CHOICES = [
    ("equal", _("all labels weigh the same")),
    ("reliability", _("by the reliability of the people who settled it")),
]


class SnapshotForm(forms.Form):
    min_labels = forms.IntegerField(
        label=_("Labels needed"),
        min_value=1,
        max_value=1000,
        initial=1,
        help_text=_("Comparisons with fewer votes are left out."),
    )
    group_key = forms.ChoiceField(
        label=_("Kept in one split"),
        choices=GROUP_KEY_CHOICES,
        help_text=_("What is trained on never stands in the test split too."),
    )
    train = forms.FloatField(label=_("Train share"), min_value=0, max_value=1, initial=0.8)
    validation = forms.FloatField(label=_("Validation share"), min_value=0, max_value=1, initial=0.1)
    test = forms.FloatField(label=_("Test share"), min_value=0, max_value=1, initial=0.1)
    seed = forms.IntegerField(
        label=_("Seed"),
        min_value=0,
        max_value=2**31 - 1,
        initial=0,
        help_text=_("The same seed keeps every group in its split from one snapshot to the next."),
    )
    include_ties = forms.BooleanField(label=_("with ties"), required=False, initial=True)
    include_both_bad = forms.BooleanField(label=_("with “both bad”"), required=False, initial=True)
    include_rewrites = forms.BooleanField(label=_("with rewrites"), required=False, initial=True)
    include_verdicts = forms.BooleanField(
        label=_("with what judges and the reward model say"),
        required=False,
        help_text=_("Written beside the labels; it settles nothing."),
    )
    include_judge_rows = forms.BooleanField(
        label=_("with comparisons that judges alone settle"),
        required=False,
        help_text=_("Where nobody’s vote settles it and all judges that spoke agree."),
    )
    weights = forms.ChoiceField(
        label=_("Weights for training"),
        choices=WEIGHT_CHOICES,
        help_text=_("Without a reliability fit all weigh the same."),
    )
    labeler_kinds = forms.MultipleChoiceField(
        label=_("Whose votes"),
        choices=LabelerKind.choices,
        initial=list(LabelerKind.values),
        widget=forms.CheckboxSelectMultiple,
    )

    def clean(self) -> dict[str, Any]:
        if not self.errors:
            try:
                read_config(self.config())
            except SnapshotConfigError as error:
                raise forms.ValidationError(error.messages) from None
        return self.cleaned_data

    def config(self) -> dict[str, Any]:
        """The settings as `snapshot_create` reads them."""
        data = dict(self.cleaned_data)
        data["fractions"] = {split: data.pop(split) for split in ("train", "validation", "test")}
        return data
