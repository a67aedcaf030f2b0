"""What a password must be like."""

from __future__ import annotations

from django.contrib.auth.password_validation import MinimumLengthValidator, password_validators_help_texts
from django.utils.translation import ngettext


class LongEnoughValidator(MinimumLengthValidator):
    """Django's, in words that are translated: its own lost their Chinese when they were reworded."""

    def get_error_message(self) -> str:
        return ngettext(
            "This password is too short: at least %(count)d character is needed.",
            "This password is too short: at least %(count)d characters are needed.",
            self.min_length,
        ) % {"count": self.min_length}

    def get_help_text(self) -> str:
        return ngettext(
            "At least %(count)d character.",
            "At least %(count)d characters.",
            self.min_length,
        ) % {"count": self.min_length}


def password_help() -> str:
    """What all the validators ask for, as a form's help."""
    return " ".join(password_validators_help_texts())
