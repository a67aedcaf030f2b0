"""The import's choices as forms: the same options for a new upload and for another check."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from labeling.importing.hub import HubError, HubName
from labeling.importing.options import MAX_GROUP, MAX_LABELER, MAX_LANGUAGE, ImportOptions

PAIR_CHOICES = [
    ("all", _("every pair")),
    ("adjacent", _("neighbours only")),
    ("best", _("the first against each other one")),
]


class OptionsForm(forms.Form):
    """How a file's rows are to be read."""

    group_key = forms.CharField(
        label=_("Keep together by key"),
        required=False,
        max_length=MAX_GROUP,
        help_text=_(
            "Rows with the same value under this key stay in one split. Empty: each prompt by itself."
        ),
    )
    labeler = forms.CharField(
        label=_("Whose choices are these"),
        required=False,
        max_length=MAX_LABELER,
        help_text=_("Name of the labeler for “chosen” and ranks. Empty: the file's name."),
    )
    language = forms.CharField(
        label=_("Language"),
        required=False,
        max_length=MAX_LANGUAGE,
        help_text=_("For rows that do not name one: en, zh …"),
    )
    pairs = forms.ChoiceField(label=_("Lists of responses become"), choices=PAIR_CHOICES, initial="all")
    use_gold = forms.BooleanField(label=_("Keep known outcomes (“gold”)"), required=False, initial=True)

    def options(self, earlier: dict[str, Any] | None = None) -> ImportOptions:
        """The chosen options; what the form does not ask stays as it was."""
        chosen = {name: self.cleaned_data[name] for name in OptionsForm.base_fields}
        return ImportOptions.from_json((earlier or {}) | chosen)


class HubForm(forms.Form):
    """A data set of a hub. `cleaned_data["dataset"]` is its HubName."""

    dataset = forms.CharField(
        label=_("Data set"),
        max_length=200,
        help_text=_(
            "org/name, org/name@revision or org/name:config. Public data sets only; no code of it is run."
        ),
    )

    def clean_dataset(self) -> HubName:
        try:
            return HubName.read(self.cleaned_data["dataset"])
        except HubError as error:
            raise forms.ValidationError(str(error)) from error


class UploadForm(OptionsForm):
    file = forms.FileField(label=_("File"), max_length=255, allow_empty_file=True)

    field_order = ["file", *OptionsForm.base_fields]

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > settings.UPLOAD_MAX_BYTES:
            limit = settings.UPLOAD_MAX_BYTES // 1024**2
            raise forms.ValidationError(
                _t("The file is larger than %(limit)s MB. Split it.") % {"limit": limit}
            )
        return file
