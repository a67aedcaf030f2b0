"""Forms of the work and allocation pages. They check shapes; the services check meaning."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from labeling.models import Batch, ComparisonUse, Membership, Project
from labeling.selectors.work import BatchRow
from labeling.services.batches import AT_ONCE, Choice

WORDS_MAX = 120


def refuse(form: forms.BaseForm, error: ValidationError) -> None:
    """Show what the service refused beside its field."""
    problems = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
    for name, texts in problems.items():
        form.add_error(name if name in form.fields else None, texts)


class AllocationForm(forms.ModelForm):
    """Gold and qualification, as shares and numbers."""

    class Meta:
        model = Project
        fields = ["gold_share", "qualification_size", "qualification_pass"]
        help_texts = {
            "qualification_pass": _("Of the answers, how many must be right: 0.8 is four of five."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("gold_share", "qualification_pass"):
            self.fields[name].widget.attrs["step"] = "any"


class ChecksForm(forms.Form):
    """More gold or qualification comparisons, or all of them back to work."""

    use = forms.ChoiceField(
        label=_("Use"), choices=[(use.value, use.label) for use in ComparisonUse if use != ComparisonUse.WORK]
    )
    count = forms.IntegerField(label=_("How many"), min_value=1, max_value=10_000, initial=20)


class BatchForm(forms.Form):
    """A batch's name, people and deadline."""

    name = forms.CharField(label=_("Name"), max_length=120, help_text=_("Managers alone see it."))
    people = forms.MultipleChoiceField(label=_("People"), widget=forms.CheckboxSelectMultiple)
    deadline = forms.DateTimeField(
        label=_("Deadline"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("People are told a day before, managers when it is over. Nothing is taken away."),
    )

    def __init__(self, *args: Any, members: list[Membership], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.members = {str(member.pk): member for member in members}
        field = self.fields["people"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(pk, str(member.user)) for pk, member in self.members.items()]
        overlap = members[0].project.overlap if members else 1
        if overlap > 1:
            words = _(
                "A comparison here needs %(overlap)d labels: fewer people than that cannot finish a batch."
            )
            field.help_text = words % {"overlap": overlap}

    def chosen(self) -> list[Membership]:
        return [self.members[pk] for pk in self.cleaned_data["people"]]


class ChoiceForm(forms.Form):
    """Which comparisons come into a batch."""

    number = forms.IntegerField(
        label=_("How many comparisons"), min_value=1, max_value=AT_ONCE, help_text=_("The first by priority.")
    )
    topic = forms.CharField(
        label=_("Topic"), max_length=120, required=False, help_text=_("Empty: of every topic.")
    )
    language = forms.CharField(
        label=_("Language"), max_length=12, required=False, help_text=_("As in the file, “zh” for example.")
    )

    def choice(self) -> Choice:
        return Choice(**{name: self.cleaned_data[name] for name in ("number", "topic", "language")})


class NewBatchForm(ChoiceForm, BatchForm):
    field_order = ["name", "people", "deadline", "number", "topic", "language"]


class TargetForm(BatchForm):
    """An open batch, or a new one with a name, people and a deadline: the service asks for these where it is new."""

    batch = forms.ChoiceField(label=_("Batch"), required=False)
    field_order = ["batch", "name", "people", "deadline"]

    def __init__(self, *args: Any, members: list[Membership], batches: list[BatchRow], **kwargs: Any) -> None:
        super().__init__(*args, members=members, **kwargs)
        self.batches = {str(row.batch.uid): row.batch for row in batches if not row.batch.closed_at}
        words = {
            str(row.batch.uid): f"{row.batch.name} · {', '.join(row.people)}"[:WORDS_MAX] for row in batches
        }
        field = self.fields["batch"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", _("a new one")), *((uid, words[uid]) for uid in self.batches)]
        self.fields["name"].required = self.fields["people"].required = False

    def target(self) -> Batch | None:
        """The batch that was chosen; None of a new one."""
        return self.batches.get(self.cleaned_data["batch"])


class ChangeBatchForm(BatchForm):
    is_paused = forms.BooleanField(label=_("Paused: nothing of it is handed out"), required=False)
