"""What a label's strength, votes and weight mean to a loss."""

from __future__ import annotations

from .types import Pair

STRONGEST = 4.0


def signed_margin(pair: Pair, scale: float) -> float:
    """Margin in score units asked of this pair, positive towards ``chosen``.

    Strength 1 asks for 0 and strength 4 for ``scale``, linear between (Llama 2, arXiv 2307.09288, has four
    steps of a third). 0 for a tie or an unknown strength; negative where the votes prefer ``rejected``.
    """
    if pair.strength is None or pair.is_tie:
        return 0.0
    size = scale * (pair.strength - 1.0) / (STRONGEST - 1.0)
    return size if pair.p_chosen > 0.5 else -size
