"""What an export writes: layout, file format and policies. One form reads them, for the page and for REST."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from labeling.exporting.layouts import LAYOUTS
from labeling.snapshots.config import SPLITS

LAYOUT_CHOICES = [(layout.name, layout.label) for layout in LAYOUTS.values()]
FORMAT_CHOICES = [
    ("jsonl", "JSONL"),
    ("parquet", "Parquet"),
    ("csv", "CSV"),
    ("dataset", _("dataset folder: Parquet for each split, a card, a manifest, as a zip")),
]
SPLIT_CHOICES = [("train", _("train")), ("validation", _("validation")), ("test", _("test"))]
TEXT_CHOICES = [("messages", _("message lists")), ("plain", _("plain texts"))]
USUAL = ("", _("as usual: kept with all votes, left out elsewhere"))
TIE_CHOICES = [
    USUAL,
    ("drop", _("leave out")),
    ("coin", _("toss a coin, the same for everybody")),
    ("soft", _("as soft labels: a column p_chosen, the share of the votes for chosen")),
    ("both_good", _("as two good responses")),
    ("keep", _("keep as ties")),
]
BOTH_BAD_CHOICES = [USUAL, ("drop", _("leave out")), ("keep", _("keep"))]
MARGIN_CHOICES = [
    ("none", _("none")),
    ("strength", _("mean strength, 1 to 4")),
    ("votes", _("majority of the votes, 0 to 1")),
]
SYSTEM_CHOICES = [
    ("keep", _("keep")),
    ("drop", _("leave out")),
    ("user", _("put before the first user turn")),
]
REWRITE_CHOICES = [
    ("in", _("as in the snapshot")),
    ("out", _("leave out")),
    ("only", _("rewrites alone")),
]
VERDICT_CHOICES = [("in", _("as in the snapshot")), ("out", _("leave out"))]
COMPRESSION_CHOICES = [("none", _("none")), ("gzip", "gzip")]
LABELER_CHOICES = [("pseudonyms", _("pseudonyms")), ("names", _("names"))]
# The layout whose columns are named by the options.
KEYED = "openrlhf"
KEYS = ("prompt", "chosen", "rejected")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")


@dataclass(frozen=True)
class ExportOptions:
    """Checked settings of an export. Same snapshot and same options: same bytes.

    layout: see labeling/exporting/layouts. text: message lists or plain strings, where a layout knows both. ties:
    "drop", "coin" (a hash of the comparison chooses a side), "soft" (a column p_chosen; chosen is who has more votes,
    and where that is nobody the coin chooses), "both_good" (kind "unpaired"), or "keep" (kind "whole").
    system: "keep", "drop", or "user": its text goes before the first user's turn.
    margin: "none", "strength" (mean 1–4 of the winning side, 0 where nobody gave one) or "votes" (|2·p_a −
    1|). min_agreement: smallest share of the votes that must say what the outcome says. keys: what the layout
    "openrlhf" calls prompt, chosen and rejected. rewrites: "in", "out" or "only": comparisons with a person's
    rewrite. verdicts: "in", or "out": no comparison that judges alone settled, and no voices.
    """

    layout: str = "trl-explicit"
    format: str = "jsonl"
    splits: tuple[str, ...] = SPLITS
    text: str = "messages"
    ties: str = "drop"
    both_bad: str = "drop"
    margin: str = "none"
    min_agreement: float = 0.0
    compression: str = "none"
    labelers: str = "pseudonyms"
    licence: str = ""
    keys: tuple[str, ...] = KEYS
    system: str = "keep"
    rewrites: str = "in"
    verdicts: str = "in"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "splits": list(self.splits), "keys": list(self.keys)}

    def key(self, content_hash: str, version: str) -> str:
        """What the bytes of this export depend on, as a short hash. The licence stands in a dataset's card alone."""
        licence = self.licence if self.format == "dataset" else ""
        known = [content_hash, version, {**self.to_json(), "licence": licence}]
        return hashlib.sha256(orjson.dumps(known, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]

    @property
    def suffix(self) -> str:
        ending = "zip" if self.format == "dataset" else self.format
        return f".{ending}" + (".gz" if self.compression == "gzip" else "")

    @property
    def media_type(self) -> str:
        if self.compression == "gzip":
            return "application/gzip"
        return {
            "jsonl": "application/x-ndjson",
            "parquet": "application/vnd.apache.parquet",
            "csv": "text/csv; charset=utf-8",
            "dataset": "application/zip",
        }[self.format]


def _choice(label: Any, choices: list[tuple[str, Any]], help_text: Any = "") -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label, choices=choices, required=False, initial=choices[0][0], help_text=help_text
    )


class ExportForm(forms.Form):
    """Whatever is left out or empty has the first choice, and all splits."""

    layout = _choice(_("Layout"), LAYOUT_CHOICES)
    format = _choice(_("File format"), FORMAT_CHOICES)
    splits = forms.MultipleChoiceField(
        label=_("Splits"),
        choices=SPLIT_CHOICES,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: all of them."),
    )
    text = _choice(_("Texts"), TEXT_CHOICES, _("Plain texts hold one turn: longer prompts are left out."))
    system = _choice(_("System prompts"), SYSTEM_CHOICES)
    ties = _choice(_("Ties"), TIE_CHOICES, _("Only layouts with all votes can keep them."))
    both_bad = _choice(_("Both bad"), BOTH_BAD_CHOICES, _("Layouts of pairs cannot keep them."))
    margin = _choice(
        _("Margin"), MARGIN_CHOICES, _("By how much chosen beats rejected, as a column of its own.")
    )
    min_agreement = forms.FloatField(
        label=_("Least agreement"),
        min_value=0,
        max_value=1,
        required=False,
        help_text=_(
            "Share of the votes that must say what the outcome says, 0 to 1. What a reviewer settled has 1, what"
            " reliabilities settled their probability of it."
        ),
    )
    rewrites = _choice(_("Rewrites"), REWRITE_CHOICES, _("Comparisons of a response that a person wrote."))
    verdicts = _choice(
        _("Judges’ verdicts"), VERDICT_CHOICES, _("Comparisons that judges alone settled, and all voices.")
    )
    keys = forms.CharField(
        label=_("Keys"),
        max_length=130,
        required=False,
        help_text=_("OpenRLHF alone: its keys of prompt, chosen and rejected, with commas between them."),
    )
    compression = _choice(_("Compression"), COMPRESSION_CHOICES)
    labelers = _choice(_("People"), LABELER_CHOICES, _("How people are named in layouts with all votes."))
    licence = forms.CharField(
        label=_("Licence note"),
        max_length=300,
        required=False,
        help_text=_("Goes into the manifest and the dataset card."),
    )

    def clean_keys(self) -> str:
        """Three different names with commas between them, or nothing."""
        keys = [key.strip() for key in self.cleaned_data["keys"].split(",") if key.strip()]
        is_fit = len(keys) == 3 and len({*keys, "margin", "p_chosen"}) == 5 and all(map(_KEY.fullmatch, keys))
        if keys and not is_fit:
            raise ValidationError(
                _(
                    "Give three different names of letters, digits, “_”, “.” and “-”, none “margin” or “p_chosen”."
                )
            )
        return ",".join(keys)

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        layout = LAYOUTS[data.get("layout") or "trl-explicit"]
        if data.get("ties") == "keep" and layout.kind != "whole":
            self.add_error("ties", ValidationError(_("Only layouts with all votes can keep ties.")))
        if data.get("ties") == "soft" and layout.margin != "column":
            self.add_error("ties", ValidationError(_("This layout has no place for soft labels.")))
        if data.get("ties") == "both_good" and layout.kind != "unpaired":
            self.add_error("ties", ValidationError(_("Only unpaired layouts can say that both are good.")))
        if data.get("system") not in (None, "", "keep") and layout.kind == "whole":
            self.add_error("system", ValidationError(_("Layouts with all votes keep prompts as they are.")))
        if data.get("both_bad") == "keep" and layout.kind not in ("unpaired", "whole"):
            self.add_error("both_bad", ValidationError(_("This layout has no place for two bad responses.")))
        if data.get("margin") not in (None, "", "none") and layout.margin == "none":
            self.add_error("margin", ValidationError(_("This layout has no place for a margin.")))
        if data.get("keys") and layout.name != KEYED:
            self.add_error("keys", ValidationError(_("The keys of this layout are fixed.")))
        if data.get("compression") == "gzip" and data.get("format") in ("parquet", "dataset"):
            self.add_error("compression", ValidationError(_("Parquet is compressed already.")))
        return data

    def options(self) -> ExportOptions:
        """The options of a valid form."""
        given = {name: value for name, value in self.cleaned_data.items() if value not in (None, "", [])}
        if "splits" in given:
            given["splits"] = tuple(split for split in SPLITS if split in given["splits"])
        if "keys" in given:
            given["keys"] = tuple(given["keys"].split(","))
        if LAYOUTS[given.get("layout", "trl-explicit")].kind == "whole":
            given = {"ties": "keep", "both_bad": "keep", **given}
        return ExportOptions(**given)


def read_options(data: QueryDict | Mapping[str, Any]) -> ExportOptions:
    """The options that a query or a JSON object asks for. Raises ValidationError by field, for unknown ones
    too.
    """
    unknown = sorted(set(data) - set(ExportForm.base_fields) - {"snapshot"})
    if unknown:
        raise ValidationError({name: [_("There is no such option.")] for name in unknown})
    form = ExportForm(data)
    if not form.is_valid():
        raise ValidationError({name: [str(text) for text in texts] for name, texts in form.errors.items()})
    return form.options()
