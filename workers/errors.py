"""Typed refusals of this app's services. Each message is for the person who asked."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop

from webapp.jobs.messages import message

_NO_TOKENS = {
    "starter": gettext_noop(
        "The starter has neither template nor tokens: it reads the text of the response alone, as words, pairs of "
        "words, parts of words and measures of form. The prompt is the same on both sides of a pair and would teach "
        "it nothing."
    ),
    "generative": gettext_noop(
        "Verdicts are read from the database, not made from a text here: what the judge was asked stands with each of "
        "its verdicts."
    ),
    "pair": gettext_noop(
        "A pair model reads two responses at once, in a form of its own: there is no reading of one to show."
    ),
}


class WorkersError(Exception):
    """Base of what a view shows and an endpoint answers; `permanent` says whether trying again could help."""

    permanent = True


class TrainingBusy(WorkersError):  # noqa: N818 - a state, not a failure
    """The project already trains. `run` is that run, where it is known."""

    def __init__(self, run: Any = None) -> None:
        self.run = run
        super().__init__(
            message(
                gettext_noop(
                    "This project is already training a reward model. Wait for that run, or cancel it."
                )
            )
        )


class NotEnoughLabels(WorkersError):  # noqa: N818
    def __init__(self, have: int, need: int) -> None:
        self.have, self.need = have, need
        super().__init__(
            message(
                gettext_noop("Not enough labels yet: %(have)d of %(need)d settled comparisons."),
                have=have,
                need=need,
            )
        )


class BadTrainingConfig(WorkersError):  # noqa: N818
    """The settings are refused by the reward library; the message names the setting, `setting` alone where it is one
    of a model's own."""

    def __init__(self, said: object, setting: str = "") -> None:
        self.setting = setting
        super().__init__(said)


class ChampionMoved(WorkersError):  # noqa: N818
    """Somebody promoted or rolled back while the gate was comparing; compare again."""

    permanent = False


class PromotionRefused(WorkersError):  # noqa: N818
    """This model cannot become champion now; the message says why."""


class ReadsNoTokens(WorkersError):  # noqa: N818
    """There is no template or token of one response to show; the message says what a model of this kind reads."""

    def __init__(self, kind: str) -> None:
        super().__init__(
            message(_NO_TOKENS.get(kind, gettext_noop("A baseline has neither template nor tokens.")))
        )


class PreviewsBusy(WorkersError):  # noqa: N818
    """As many previews as a project may have at once are still to be made."""

    permanent = False

    def __init__(self) -> None:
        super().__init__(
            message(
                gettext_noop("The last previews of this project are still being made. Try again in a moment.")
            )
        )
