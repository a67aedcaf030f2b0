"""From scores to probabilities. numpy alone.

Every function works on one comparison or on many: the head axis is the last one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def sigmoid(x: ArrayLike) -> Array:
    """1 / (1 + e^-x) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, dtype=np.float64))))


def softplus(x: ArrayLike) -> Array:
    """ln(1 + e^x) without overflow; ``softplus(-d)`` is the Bradley-Terry loss of a score difference d."""
    return np.asarray(np.logaddexp(0.0, np.asarray(x, dtype=np.float64)))


def pair_probability(heads_a: ArrayLike, heads_b: ArrayLike, temperature: float = 1.0) -> tuple[Array, Array]:
    """``P(a beats b)`` of an ensemble: mean and standard deviation over heads, shapes (...,).

    ``heads_a`` and ``heads_b`` are (..., K). Each head says ``sigmoid((a_k - b_k) / T)``. With one head the
    standard deviation is 0, so order by the mean alone means the same thing.
    """
    a, b = np.asarray(heads_a, dtype=np.float64), np.asarray(heads_b, dtype=np.float64)
    if a.shape != b.shape or a.ndim == 0:
        raise ValueError(f"heads must have one shape (..., K), got {a.shape} and {b.shape}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    p = sigmoid((a - b) / temperature)
    return np.asarray(p.mean(axis=-1)), np.asarray(p.std(axis=-1))


def outcome_log_probabilities(delta: ArrayLike, tie_threshold: float) -> Array:
    """Logarithms of P(win), P(tie), P(lose), shape (..., 3), of differences (...), after Rao and Kupper (1967).

    ``P(win) = σ(Δ - ln θ)``, ``P(lose) = σ(-Δ - ln θ)`` with θ = ``tie_threshold`` > 1, and a tie is the rest:
    ``(1 - θ^-2)·σ(ln θ - Δ)·σ(ln θ + Δ)``.
    """
    if not tie_threshold > 1.0:
        raise ValueError(f"the tie threshold must be above 1, got {tie_threshold}")
    d, a = np.asarray(delta, dtype=np.float64), np.log(tie_threshold)
    tie = np.log(-np.expm1(-2.0 * a)) - softplus(d - a) - softplus(-d - a)
    return np.stack([-softplus(a - d), tie, -softplus(a + d)], axis=-1)


def outcome_probabilities(
    heads_a: ArrayLike, heads_b: ArrayLike, temperature: float, tie_threshold: float
) -> Array:
    """P(a wins), P(tie), P(b wins) of a model that learned ties, shape (..., 3): means over heads (..., K)."""
    a, b = np.asarray(heads_a, dtype=np.float64), np.asarray(heads_b, dtype=np.float64)
    if a.shape != b.shape or a.ndim == 0:
        raise ValueError(f"heads must have one shape (..., K), got {a.shape} and {b.shape}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    return np.asarray(np.exp(outcome_log_probabilities((a - b) / temperature, tie_threshold)).mean(axis=-2))


def label_loss(
    delta: ArrayLike,
    p_chosen: ArrayLike,
    p_tie: ArrayLike | None = None,
    tie_threshold: float | None = None,
) -> Array:
    """What each label (N,) costs under differences (N,), in nats: ``-[p·ln σ(Δ) + (1 - p)·ln σ(-Δ)]``, or the
    cross-entropy over win, tie and lose where a tie threshold is given. A tie is half of ``p_chosen``."""
    d, p = np.asarray(delta, dtype=np.float64), np.asarray(p_chosen, dtype=np.float64)
    if tie_threshold is None:
        return np.asarray(p * softplus(-d) + (1.0 - p) * softplus(d))
    ties = np.zeros_like(p) if p_tie is None else np.asarray(p_tie, dtype=np.float64)
    shares = np.stack([p - ties / 2, ties, 1.0 - p - ties / 2], axis=-1)
    return np.asarray(-(shares * outcome_log_probabilities(d, tie_threshold)).sum(axis=-1))


def entropy(p: ArrayLike) -> Array:
    """Entropy of a coin with chance ``p``, in bits; 0 at 0 and 1, 1 at one half."""
    q = np.clip(np.asarray(p, dtype=np.float64), 1e-12, 1 - 1e-12)
    return np.asarray(-(q * np.log2(q) + (1 - q) * np.log2(1 - q)))
