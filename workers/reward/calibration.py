"""One temperature, fitted on pairs the model was not trained on, and how honest it is on pairs it was not fitted on."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from .metrics import brier, calibration_error, decided_accuracy, log_loss, reliability
from .predict import label_loss

LOG_LIMIT = math.log(50.0)
# With fewer, half of the pairs say less of T than what is lost by fitting on half.
MIN_GROUPS, MIN_PAIRS = 4, 20


def fit_temperature(
    delta: ArrayLike,
    p_chosen: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    *,
    p_tie: ArrayLike | None = None,
    tie_threshold: float | None = None,
) -> float:
    """T that makes ``sigmoid(Δ/T)`` honest: least log-loss over score differences ``delta`` (N,).

    A standard normal prior on ``ln T`` keeps a handful of separable pairs from driving T to 0, and vanishes
    beside a few hundred pairs. Bounded to 1/50..50 times the differences' root mean square; 1 when there are
    no pairs or all differences are 0. Ties (p = 0.5) count: they pull T up. With ``tie_threshold`` the loss is
    that over win, tie and lose, and T belongs to ``outcome_probabilities``.
    """
    d = np.asarray(delta, dtype=np.float64)
    if d.size == 0 or not np.any(d):
        return 1.0
    p = np.ones_like(d) if p_chosen is None else np.asarray(p_chosen, dtype=np.float64)
    w = np.ones_like(d) if weight is None else np.asarray(weight, dtype=np.float64)
    # Work in units of the differences' own size, so that the prior means the same for any scale of scores.
    unit = float(np.sqrt(np.mean(d**2)))

    def objective(log_t: float) -> float:
        x = d / (unit * math.exp(log_t))
        return float(w @ label_loss(x, p, p_tie, tie_threshold)) + 0.5 * log_t**2

    found = minimize_scalar(objective, bounds=(-LOG_LIMIT, LOG_LIMIT), method="bounded")
    return float(unit * math.exp(found.x))


def half_of_groups(groups: Sequence[str], seed: int = 0) -> NDArray[np.bool_]:
    """A mask (N,) of about half of N pairs, whole groups together: groups in the order of their hashes, each to the
    half with fewer pairs so far. The same whatever the order of the pairs."""
    sizes = Counter(groups)
    order = sorted(sizes, key=lambda g: hashlib.sha256(f"{seed} {g}".encode("utf-8", "replace")).digest())
    first: set[str] = set()
    filled = [0, 0]
    for group in order:
        side = int(filled[1] < filled[0])
        filled[side] += sizes[group]
        if side == 0:
            first.add(group)
    return np.array([group in first for group in groups], dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature and what is known of it.

    ``figures`` are the validation metrics: ``validation_accuracy`` over all pairs; ``validation_log_loss``,
    ``validation_brier`` and ``validation_ece`` at the temperature, over pairs that it was not fitted on where
    ``calibration_held_out`` is 1, else over the very pairs it was fitted on. Unseen by T is not unseen by the model:
    a transformer's validation pairs, both halves, also chose the step that was kept (the card
    says ``also_chose``). ``source`` goes into the model's card.
    """

    temperature: float
    figures: dict[str, float]
    source: dict[str, Any]


NOTHING = Calibration(1.0, {}, {"on": "nothing", "pairs": 0, "groups": 0})


def calibrate(
    delta: ArrayLike,
    p_chosen: ArrayLike,
    weight: ArrayLike,
    groups: Sequence[str],
    *,
    seed: int = 0,
    p_tie: ArrayLike | None = None,
    tie_threshold: float | None = None,
) -> Calibration:
    """Fit T on one half of the validation pairs' groups and report on the other (all arguments (N,)).

    With fewer than four groups or twenty pairs both are done on all of them, and ``calibration_held_out`` is 0. With
    ``tie_threshold`` a second temperature, ``tie_temperature``, is fitted for the three outcomes.
    """
    d, p, w = (np.asarray(values, dtype=np.float64) for values in (delta, p_chosen, weight))
    if not d.size:
        return NOTHING
    held_out = len(set(groups)) >= MIN_GROUPS and d.size >= MIN_PAIRS
    fitted = half_of_groups(groups, seed) if held_out else np.ones(d.size, dtype=np.bool_)
    seen = ~fitted if held_out else fitted
    t = fit_temperature(d[fitted], p[fitted], w[fitted])
    figures = {
        "temperature": t,
        "calibration_pairs": float(fitted.sum()),
        "calibration_held_out": float(held_out),
        "validation_pairs": float(seen.sum()),
        "validation_accuracy": decided_accuracy(d, p),
        "validation_log_loss": log_loss(d[seen], p[seen], t),
        "validation_brier": brier(d[seen], p[seen], t),
        "validation_ece": calibration_error(reliability(d[seen], p[seen], t)),
    }
    if tie_threshold is not None:
        ties = np.asarray(p_tie, dtype=np.float64)
        tie_t = fit_temperature(
            d[fitted], p[fitted], w[fitted], p_tie=ties[fitted], tie_threshold=tie_threshold
        )
        figures["tie_temperature"] = tie_t
        figures["validation_outcome_log_loss"] = log_loss(
            d[seen], p[seen], tie_t, p_tie=ties[seen], tie_threshold=tie_threshold
        )
    used = {group for group, here in zip(groups, fitted, strict=True) if here}
    source = {
        "on": "half of the validation groups" if held_out else "all validation pairs",
        "pairs": int(fitted.sum()),
        "groups": len(used),
        "reported_on": int(seen.sum()),
    }
    return Calibration(t, figures, source)
