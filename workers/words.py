"""The reward library's steps and errors in words: it is pure, so it names them by codes and classes."""

from __future__ import annotations

from django.utils.translation import gettext_noop

from webapp.jobs.messages import Message, Text, message, said_by
from workers.reward.errors import (
    ConfigError,
    CorruptModelError,
    DataError,
    ModelUnavailableError,
    NotFiniteError,
    RewardError,
    ScoresExplodedError,
    UntrustedModelError,
)

STEPS = {
    "snapshot": gettext_noop("making the snapshot"),
    "prepare": gettext_noop("preparing"),
    "embed": gettext_noop("reading the texts with the base model"),
    "features": gettext_noop("reading the texts"),
    "cross_validate": gettext_noop("choosing settings on held-out groups"),
    "heads": gettext_noop("training the heads"),
    "train": gettext_noop("training"),
    "evaluate": gettext_noop("evaluating"),
    "compare": gettext_noop("comparing"),
    "preview": gettext_noop("reading the text"),
    "score": gettext_noop("scoring"),
    "reorder": gettext_noop("re-ordering the queue"),
}
# The library's own sentence, which names settings, files and numbers, stands behind the colon as it is.
ERRORS: dict[type[RewardError], str] = {
    ConfigError: gettext_noop("The training settings are refused: %(detail)s"),
    DataError: gettext_noop("The data cannot be used: %(detail)s"),
    CorruptModelError: gettext_noop("The files of a model are damaged: %(detail)s"),
    ModelUnavailableError: gettext_noop("A model could not be read or fetched: %(detail)s"),
    UntrustedModelError: gettext_noop("A model is refused for what its folder holds: %(detail)s"),
    NotFiniteError: gettext_noop("Training ran into numbers that are not finite: %(detail)s"),
    ScoresExplodedError: gettext_noop("The scores grew beyond every useful range: %(detail)s"),
}


def step_words(step: str) -> Message:
    """What a step of training or scoring is called; an unknown one stands for itself."""
    return message(STEPS[step]) if step in STEPS else message("%(step)s", step=step)


def error_words(error: Exception) -> Text:
    """What went wrong, for people."""
    msgid = ERRORS.get(type(error)) if isinstance(error, RewardError) else None
    return message(msgid, detail=error) if msgid else said_by(error)
