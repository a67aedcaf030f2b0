"""Typed refusals of this app's services. Each message is for the person who asked."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop

from webapp.jobs.messages import message


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
    """The settings are refused by the reward library; the message names the setting."""


class ChampionMoved(WorkersError):  # noqa: N818
    """Somebody promoted or rolled back while the gate was comparing; compare again."""

    permanent = False


class PromotionRefused(WorkersError):  # noqa: N818
    """This model cannot become champion now; the message says why."""


class ReadsNoTokens(WorkersError):  # noqa: N818
    """The model reads plain text: there is neither a template nor a token to show."""
