"""What people look for among the items: one form for pages, REST, saved filters, bulk actions and judges' runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from labeling.models import ComparisonState, ComparisonUse, ResolvedOutcome, VoiceOutcome

MAX_IDS = 200
CHAMPION = "champion"  # the source of the reward model's voice
UNREAD = "unread"


class ItemFilterError(ValueError):
    """A filter that cannot be read. `problems`: what is wrong, by field, in words."""

    permanent = True

    def __init__(self, problems: dict[str, list[str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in problems.items()))


@dataclass(frozen=True)
class ItemFilter:
    """What to keep; an empty field keeps everything, and all that are given must hold.

    `outcome` "none" keeps what nobody has settled yet. `judge` is the source of a voice: a judge's uid, or "champion"
    for the reward model; `verdict` alone asks for a judge, whichever, that says so. `p_min` and `p_max` bound the
    reward model's P(A better), `score_min` and `score_max` the score of either response. `labeled_from` and
    `labeled_to` are days, both included, on which an answer that stands was given, by `labeler` if that is given, too.
    """

    q: str = ""
    state: str = ""
    outcome: str = ""
    disputed: bool = False
    agreement_min: float | None = None
    agreement_max: float | None = None
    judge: str = ""
    verdict: str = ""
    p_min: float | None = None
    p_max: float | None = None
    score_min: float | None = None
    score_max: float | None = None
    model: str = ""
    language: str = ""
    topic: str = ""
    labeler: UUID | None = None
    labeled_from: date | None = None
    labeled_to: date | None = None
    use: str = ""
    ids: tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self == ItemFilter()

    @property
    def tells(self) -> bool:
        """Whether that a row is found tells what others say of it."""
        texts = ItemFilter(q=self.q, state=self.state, language=self.language, topic=self.topic, ids=self.ids)
        return self != texts

    def to_json(self) -> dict[str, Any]:
        """The fields that are given, as JSON values; `filter_from_json` reads them."""
        return {
            name: _plain(value) for name, value in asdict(self).items() if value not in ("", None, False, ())
        }

    def to_text(self) -> str:
        """`to_json` as text; `filter_from_text` reads it."""
        return json.dumps(self.to_json(), ensure_ascii=False)

    def to_query(self) -> str:
        """The fields that are given, as the query of an address."""
        return query_of_json(self.to_json())


def query_of_json(data: Mapping[str, Any]) -> str:
    """The query of an address from what `to_json` wrote."""
    return urlencode({name: "on" if value is True else value for name, value in data.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, (date, UUID)):
        return str(value)
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


class IdsField(forms.CharField):
    """Numbers of comparisons with commas between them, MAX_IDS at most."""

    def to_python(self, value: Any) -> tuple[int, ...]:  # type: ignore[override]
        parts = [part.strip() for part in (super().to_python(value) or "").split(",") if part.strip()]
        if len(parts) > MAX_IDS:
            raise ValidationError(_("At most %(most)d at once; take a filter for more.") % {"most": MAX_IDS})
        if not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in parts):
            raise ValidationError(_("Numbers with commas between them."))
        return tuple(sorted({int(part) for part in parts}))


class FilterForm(forms.Form):
    """Filters of the list, for the page and for REST; nothing else can be filtered by."""

    q = forms.CharField(
        label=_("Text"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": _("words, or “a passage” in quotes")}),
    )
    state = forms.ChoiceField(
        label=_("State"), required=False, choices=[("", _("any state")), *ComparisonState.choices]
    )
    outcome = forms.ChoiceField(
        label=_("Outcome"),
        required=False,
        choices=[("", _("any outcome")), *ResolvedOutcome.choices, ("none", _("not settled"))],
    )
    disputed = forms.BooleanField(label=_("people disagree"), required=False)
    agreement_min = forms.FloatField(label=_("Agreement from"), required=False, min_value=0, max_value=1)
    agreement_max = forms.FloatField(label=_("Agreement to"), required=False, min_value=0, max_value=1)
    judge = forms.CharField(label=_("Judge"), required=False, max_length=40)
    verdict = forms.ChoiceField(
        label=_("Verdict"),
        required=False,
        choices=[
            ("", _("any verdict")),
            *((value, label) for value, label in VoiceOutcome.choices if value),
            (UNREAD, _("not read")),
        ],
    )
    p_min = forms.FloatField(label=_("P(A better) from"), required=False, min_value=0, max_value=1)
    p_max = forms.FloatField(label=_("P(A better) to"), required=False, min_value=0, max_value=1)
    score_min = forms.FloatField(label=_("Score from"), required=False)
    score_max = forms.FloatField(label=_("Score to"), required=False)
    model = forms.CharField(label=_("Model"), required=False, max_length=160)
    language = forms.CharField(label=_("Language"), required=False, max_length=12)
    topic = forms.CharField(label=_("Topic"), required=False, max_length=120)
    labeler = forms.UUIDField(label=_("Labeler"), required=False)
    labeled_from = forms.DateField(label=_("Labeled from"), required=False)
    labeled_to = forms.DateField(label=_("Labeled to"), required=False)
    use = forms.ChoiceField(
        label=_("Use"), required=False, choices=[("", _("any use")), *ComparisonUse.choices]
    )
    ids = IdsField(label=_("Comparisons"), required=False, max_length=4000)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = self.cleaned_data
        for low, high in (
            ("agreement_min", "agreement_max"),
            ("p_min", "p_max"),
            ("score_min", "score_max"),
            ("labeled_from", "labeled_to"),
        ):
            first, last = data.get(low), data.get(high)
            if first is not None and last is not None and first > last:
                self.add_error(high, _("This ends before it begins."))
        return data

    def wanted(self) -> ItemFilter:
        """Call it once the form is valid."""
        return ItemFilter(**self.cleaned_data)

    def problems(self) -> dict[str, list[str]]:
        return {name: [str(text) for text in texts] for name, texts in self.errors.items()}


def filter_from_json(data: Mapping[str, Any]) -> ItemFilter:
    """Read what `to_json` wrote, or what a program sent. Raises ItemFilterError, for unknown fields, too."""
    unknown = [name for name in data if name not in FilterForm.base_fields]
    if unknown:
        raise ItemFilterError({ascii(name)[1:-1]: [str(_("There is no such filter."))] for name in unknown})
    form = FilterForm({name: _typed(value) for name, value in data.items() if value is not None})
    if not form.is_valid():
        raise ItemFilterError(form.problems())
    return form.wanted()


def filter_from_text(text: str) -> ItemFilter:
    """A filter that a form or an address carries as JSON. Raises ItemFilterError."""
    try:
        data = json.loads(text or "{}")
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise ItemFilterError({"filter": [str(_("This filter cannot be read."))]})
    return filter_from_json(data)


def _typed(value: Any) -> str | bool:
    """As a form sends it."""
    if isinstance(value, bool):
        return value
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
