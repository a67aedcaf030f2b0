"""The form of a webhook. It checks shapes; the service checks meaning."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from webapp.webhooks.kinds import KINDS


class WebhookForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=80)
    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        widget=forms.TextInput(attrs={"inputmode": "url", "placeholder": "https://ci.example.org/hook"}),
        help_text=_("Where events are sent by POST. Private addresses need an operator's permission."),
    )
    events = forms.MultipleChoiceField(
        label=_("Events"),
        choices=KINDS,
        widget=forms.CheckboxSelectMultiple,
    )

    def refuse(self, error: ValidationError) -> None:
        """Show what the service refused beside its field."""
        for name, problems in error.message_dict.items():
            self.add_error(name if name in self.fields else None, problems)


class WebhookChangeForm(WebhookForm):
    is_enabled = forms.BooleanField(
        label=_("Switched on"),
        required=False,
        help_text=_("Switching off cancels what waits; each delivery can be sent again from the log."),
    )
