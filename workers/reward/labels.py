"""What a label's strength, votes and weight mean to a loss."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

from .errors import DataError
from .types import Pair, without_rounding

STRONGEST = 4.0


class Vote(NamedTuple):
    """One labeler's word on a pair; ``reliability`` is what ``pool_votes`` or ``vote_posterior`` take it for."""

    outcome: Literal["chosen", "rejected", "tie"]
    reliability: float = 1.0


class SoftLabel(NamedTuple):
    """``p_chosen``, ``p_tie`` and ``weight`` of a ``Pair``."""

    p_chosen: float
    p_tie: float
    weight: float


_HALF = {"chosen": 1.0, "tie": 0.5, "rejected": 0.0}


def pool_votes(votes: Iterable[Vote]) -> SoftLabel:
    """Shares of the votes, each counting ``reliability`` >= 0 times; ties count half to each side.

    ``weight`` is the sum of the reliabilities, so the pair's loss is the sum of its votes' losses. Raises
    ``DataError`` where no vote counts.
    """
    counted = list(votes)
    if any(not 0.0 <= vote.reliability < math.inf for vote in counted):
        raise DataError("a vote's reliability is negative or not finite")
    total = sum(vote.reliability for vote in counted)
    if not total:
        raise DataError("no vote has any weight")
    chosen = sum(vote.reliability * _HALF[vote.outcome] for vote in counted) / total
    ties = sum(vote.reliability for vote in counted if vote.outcome == "tie") / total
    return SoftLabel(without_rounding(chosen), ties, total)


def vote_posterior(votes: Iterable[Vote]) -> float:
    """Chance that ``chosen`` is the better one, from labelers who are right with chance ``reliability``.

    ``σ(Σ ±ln(r / (1 - r)))`` with even odds before the first vote (one-coin Dawid-Skene; Nitzan and Paroush
    1982): labelers at 1/2 say nothing, those below count against what they say, a tie moves nothing. Raises
    ``DataError`` for a reliability outside (0, 1).
    """
    odds = 0.0
    for vote in votes:
        if not 0.0 < vote.reliability < 1.0:
            raise DataError(f"a labeler's reliability {vote.reliability} is outside (0, 1)")
        odds += (2.0 * _HALF[vote.outcome] - 1.0) * math.log(vote.reliability / (1.0 - vote.reliability))
    return without_rounding(0.5 * (1.0 + math.tanh(0.5 * odds)))


def signed_margin(pair: Pair, scale: float) -> float:
    """Margin in score units asked of this pair, positive towards ``chosen``.

    Strength 1 asks for 0 and strength 4 for ``scale``, linear between (Llama 2, arXiv 2307.09288, has four
    steps of a third). 0 for a tie or an unknown strength; negative where the votes prefer ``rejected``.
    """
    if pair.strength is None or pair.is_tie:
        return 0.0
    size = scale * (pair.strength - 1.0) / (STRONGEST - 1.0)
    return size if pair.p_chosen > 0.5 else -size
