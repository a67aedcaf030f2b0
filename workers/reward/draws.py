"""Which pairs each head of an ensemble is trained on: a bootstrap of groups that needs no random state.

A pair's weight under a head is a Poisson(1) number, the limit of how often a bootstrap draws one group of many. It
is a pure function of (seed, head, group), so a resumed run, another process or a longer list of pairs gives the
same numbers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from .bootstrap import Array
from .types import Pair

# With fewer groups a draw of groups would leave most of the data out of a head: single pairs are drawn instead.
MIN_BOOTSTRAP_GROUPS = 6
# P(n <= k) of Poisson(1) for k = 0..12; what lies beyond has a chance of 6e-11.
_CHANCES = np.cumsum([math.exp(-1.0) / math.factorial(k) for k in range(13)])


def poisson_draws(keys: Sequence[str], heads: int, seed: int) -> Array:
    """Poisson(1) weights (N, K) of N keys under K heads; equal keys have equal weights. A head that would draw
    nothing at all draws everything once. Adding heads changes none of those before."""
    numbers: dict[str, Array] = {}
    for key in keys:
        if key not in numbers:
            text = f"bootstrap {seed} {key}".encode("utf-8", "replace")
            words = np.frombuffer(hashlib.shake_256(text).digest(8 * heads), dtype="<u8")
            numbers[key] = np.searchsorted(_CHANCES, words / 2.0**64, side="right").astype(np.float64)
    drawn = np.stack([numbers[key] for key in keys]) if keys else np.zeros((0, heads))
    drawn[:, drawn.sum(axis=0) == 0] = 1.0
    return drawn


def pair_draws(pairs: Sequence[Pair], heads: int, seed: int) -> Array:
    """``poisson_draws`` (N, K) of the pairs' groups, or of the pairs themselves below six groups; ones for a
    single head."""
    if heads == 1:
        return np.ones((len(pairs), 1))
    groups = [pair.group_key for pair in pairs]
    if len(set(groups)) < MIN_BOOTSTRAP_GROUPS:
        groups = [f"{pair.group_key}\0{pair.chosen}\0{pair.rejected}" for pair in pairs]
    return poisson_draws(groups, heads, seed)
