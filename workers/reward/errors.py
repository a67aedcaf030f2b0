"""Typed errors of the reward library.

``permanent`` tells a job runner whether trying again could help: a wrong setting stays wrong, a lost
network or a request to stop does not.
"""

from __future__ import annotations


class RewardError(Exception):
    """Base of every error the library raises on purpose."""

    permanent: bool = True


class ConfigError(RewardError):
    """A setting is unknown, of the wrong type or out of its bounds. ``setting`` names it where it is one alone."""

    def __init__(self, said: str, setting: str = "") -> None:
        super().__init__(said)
        self.setting = setting


class DataError(RewardError):
    """The pairs or items cannot be used: none to train on, or no token left to score."""


class CorruptModelError(RewardError):
    """A model folder lacks a file, or a file's hash differs from its manifest."""


class UntrustedModelError(RewardError):
    """A model folder wants to run its own code, or holds weights in a format that can run code."""


class ModelUnavailableError(RewardError):
    """A model could not be fetched or read from where the settings point."""

    permanent = False


class NotFiniteError(RewardError):
    """The loss or a gradient became NaN or infinite; the last checkpoint is still good."""


class ScoresExplodedError(RewardError):
    """Scores grew beyond ``score_limit``; the last checkpoint is still good."""


class PeerError(RewardError):
    """Another process of the same run failed, with these words; the last checkpoint is still good."""

    permanent = False


class Stopped(RewardError):  # noqa: N818 - a request that was obeyed, not a failure
    """``callbacks.should_stop()`` was true; whatever can be resumed was written first."""

    permanent = False
