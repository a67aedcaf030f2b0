"""How far the voices on one comparison are apart. Pure: no database, no Django.

Shares are P(response_a better) in [0, 1]. A tie names no winner, and an unread verdict is no voice (invariant 6).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

WINNERS = ("a", "b")
# A disagreement of two who name different winners is never nothing, whatever their shares say.
LEAST = 0.01
_WORTH = {"a": 1.0, "tie": 0.5, "b": 0.0}


@dataclass(frozen=True)
class Said:
    """A judge's ("judge") or the reward model's ("model") word. `outcome` is a, b, tie, or "" for unread."""

    kind: str
    outcome: str
    p_a: float | None = None

    @property
    def share(self) -> float:
        """`p_a`; without one what the outcome is worth: 1, ½ or 0."""
        return _WORTH.get(self.outcome, 0.5) if self.p_a is None else self.p_a


@dataclass(frozen=True)
class Standing:
    """What is known of a comparison. `outcome` and `p_a` are the people's word, "" before any vote."""

    votes_a: int = 0
    votes_b: int = 0
    outcome: str = ""
    p_a: float = 0.5
    voices: tuple[Said, ...] = ()
    # In review because of skips: skips by the limit.
    skipped: float = 0.0


def sizes(standing: Standing) -> dict[str, float]:
    """Size in (0, 1] of each kind of disagreement that there is.

    people   1 − |2·share − 1| with the share of A among the decided votes: 1 where they are even
    judge    the largest distance between the people's share and that of a judge who names the other winner
    model    the same with the reward model
    judges   the spread of the shares of judges of whom two name different winners
    skipped  skips by the limit, 1 at most
    """
    judges = [said for said in standing.voices if said.kind == "judge"]
    found = {
        "people": _people(standing.votes_a, standing.votes_b),
        "judge": _against(standing, judges),
        "model": _against(standing, [said for said in standing.voices if said.kind == "model"]),
        "judges": _spread(judges),
        "skipped": min(standing.skipped, 1.0),
    }
    return {kind: size for kind, size in found.items() if size > 0}


def _people(votes_a: int, votes_b: int) -> float:
    if not votes_a or not votes_b:
        return 0.0
    return 1.0 - abs(2 * votes_a / (votes_a + votes_b) - 1.0)


def _against(standing: Standing, voices: Iterable[Said]) -> float:
    if standing.outcome not in WINNERS:
        return 0.0
    other = "b" if standing.outcome == "a" else "a"
    far = [abs(standing.p_a - said.share) for said in voices if said.outcome == other]
    return min(max([LEAST, *far]), 1.0) if far else 0.0


def _spread(judges: Iterable[Said]) -> float:
    decided = [said for said in judges if said.outcome in WINNERS]
    if len({said.outcome for said in decided}) < 2:
        return 0.0
    shares = [said.share for said in decided]
    return max(LEAST, max(shares) - min(shares))
