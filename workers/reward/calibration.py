"""One temperature, fitted on pairs the model was not trained on."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from .predict import label_loss

LOG_LIMIT = math.log(50.0)


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
