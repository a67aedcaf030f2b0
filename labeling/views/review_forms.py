"""What the pages and REST of review read from outside."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.models import DisagreementKind, Project
from labeling.scheme import STEPS
from labeling.selectors.review import Place, QueueFilter, queue_choices, read_place

BIGGEST = 2**63 - 1
# What the page offers as the smallest size.
LEAST = [("", _("any size")), ("0.25", "25"), ("0.5", "50"), ("0.75", "75")]
# The queues by their marks: whose word stands against whose.
QUEUES = {
    DisagreementKind.PEOPLE: ("● ●", _("people and people")),
    DisagreementKind.JUDGE: ("● ◆", _("people and judge")),
    DisagreementKind.MODEL: ("● ▲", _("people and reward model")),
    DisagreementKind.JUDGES: ("◆ ◆", _("judge and judge")),
    DisagreementKind.SKIPPED: ("", _("skipped too often")),
    DisagreementKind.SENT_BACK: ("", _("sent back")),
}


class QueueForm(forms.Form):
    """Filters of the queue, for the page and for REST; nothing else can be filtered by."""

    kind = forms.ChoiceField(label=_("Kind"), required=False, choices=DisagreementKind.choices)
    language = forms.CharField(label=_("Language"), required=False, max_length=12)
    topic = forms.CharField(label=_("Topic"), required=False, max_length=120)
    labeler = forms.IntegerField(label=_("Labeler"), required=False, min_value=1, max_value=BIGGEST)
    judge = forms.CharField(label=_("Judge"), required=False, max_length=40)
    least = forms.FloatField(label=_("Size from"), required=False, min_value=0, max_value=1)
    since = forms.DateField(label=_("Labeled since"), required=False)
    after = forms.CharField(required=False, max_length=60, widget=forms.HiddenInput)

    def clean_after(self) -> Place | None:
        text = self.cleaned_data["after"]
        place = read_place(text)
        if text and place is None:
            raise forms.ValidationError(_("This place in the queue is not one that we gave out."))
        return place

    def wanted(self) -> QueueFilter:
        """What was asked for; what cannot be read is left out."""
        data = {
            name: value
            for name, value in getattr(self, "cleaned_data", {}).items()
            if name != "after" and value not in ("", None)
        }
        return QueueFilter(**data)


def read_queue(query: Any, project: Project) -> tuple[QueueForm, QueueFilter, Place | None]:
    """The form of the page, the filter and the place, whatever the address says."""
    form = QueueForm(query)
    form.is_valid()
    choices = queue_choices(project)
    nobody = [("", _("anybody"))]
    form.fields["labeler"].widget = forms.Select(choices=[*nobody, *choices.labelers])
    form.fields["judge"].widget = forms.Select(choices=[("", _("any judge")), *choices.judges])
    return form, form.wanted(), form.cleaned_data.get("after")


def read_choice(choice: str) -> tuple[str, int | None]:
    """Outcome and strength of a step "1" (A much better) to "8", "tie" or "both_bad"; ("", None) for anything else.

    The desk shows response_a as A, for everybody alike.
    """
    if choice in ("tie", "both_bad"):
        return choice, None
    if choice not in {str(step) for step in range(1, STEPS + 1)}:
        return "", None
    step, middle = int(choice), STEPS // 2
    return ("a", middle + 1 - step) if step <= middle else ("b", step - middle)
