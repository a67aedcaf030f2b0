"""Losses as pure functions of tensors: one value for each pair (N,), so that they add up in any batching.

``Δ = r_chosen - r_rejected`` is called ``delta``, ``σ`` is the logistic function. Every function refuses shapes
that would broadcast to something else. ``objective`` puts them together.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Within this part of the limit, seen from it, the logarithm of the barrier is continued by a parabola.
BARRIER_EDGE = 0.02


def _shaped(shape: tuple[int, ...], **tensors: Tensor) -> None:
    """A (N, 1) beside a (N,) would broadcast to N x N and still give a number: refuse it."""
    for name, value in tensors.items():
        if value.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(value.shape)}")


def _pairs(delta: Tensor) -> tuple[int, ...]:
    return (delta.shape[0],) if delta.ndim else (1,)


def smooth(share: Tensor, smoothing: float, even: float) -> Tensor:
    """``(1 - ε)·share + ε·even`` (N,): label smoothing (arXiv 1512.00567) with ε = ``smoothing``.

    ``even`` is what the share would be if nobody could tell the sides apart: 1/2 for ``p_chosen``, and 1/3 for
    ``p_tie`` where a tie is an outcome of its own.
    """
    return (1.0 - smoothing) * share + smoothing * even


def bradley_terry(delta: Tensor, margin: Tensor, p_chosen: Tensor, *, gamma: float = 0.0) -> Tensor:
    """``-[p·ln σ(Δ - m) + (1 - p)·ln σ(-(Δ - m))]`` of each pair (N,); least where ``Δ = m + logit(p)``.

    With p = 1 this is Bradley-Terry with a margin (Llama 2, arXiv 2307.09288); with m = 0 the soft-label
    cross-entropy. ``margin`` is signed towards the preferred side, so turning a pair around changes nothing.
    ``gamma`` > 0 weighs each outcome by ``focal_weight``.
    """
    _shaped(_pairs(delta), delta=delta, margin=margin, p_chosen=p_chosen)
    d = delta - margin
    log_p = torch.stack([F.logsigmoid(d), F.logsigmoid(-d)], dim=1)  # (N, 2)
    return _cross_entropy(log_p, torch.stack([p_chosen, 1.0 - p_chosen], dim=1), gamma)


def rao_kupper(
    delta: Tensor,
    margin: Tensor,
    p_chosen: Tensor,
    p_tie: Tensor,
    log_threshold: Tensor,
    *,
    gamma: float = 0.0,
) -> Tensor:
    """Cross-entropy over win, tie and lose of each pair (N,), after Rao and Kupper (1967).

    ``P(win) = σ(Δ - m - ln θ)``, ``P(lose) = σ(-(Δ - m) - ln θ)``, ``P(tie)`` the rest; ``log_threshold`` () is
    ln θ > 0. A tie counts half to each side in ``p_chosen``, so win's share is ``p_chosen - p_tie / 2``. With
    p = 1 and m = 0 this is Bradley-Terry with the margin ln θ. ``gamma`` > 0 weighs each outcome by
    ``focal_weight``.
    """
    _shaped(_pairs(delta), delta=delta, margin=margin, p_chosen=p_chosen, p_tie=p_tie)
    _shaped((), log_threshold=log_threshold)
    log_p = rao_kupper_log_p(delta - margin, log_threshold)
    shares = torch.stack([p_chosen - p_tie / 2, p_tie, 1.0 - p_chosen - p_tie / 2], dim=1)
    return _cross_entropy(log_p, shares, gamma)


def rao_kupper_log_p(d: Tensor, log_threshold: Tensor) -> Tensor:
    """Logarithms of P(win), P(tie), P(lose) (N, 3) of differences ``d`` (N,).

    ``1 - σ(d - a) - σ(-d - a) = (1 - e^-2a)·σ(a - d)·σ(a + d)`` with a = ln θ: no difference of nearly equal
    numbers, finite for any d.
    """
    win, lose = F.logsigmoid(d - log_threshold), F.logsigmoid(-d - log_threshold)
    room = torch.log(-torch.expm1(-2.0 * log_threshold))
    tie = room + F.logsigmoid(log_threshold - d) + F.logsigmoid(log_threshold + d)
    return torch.stack([win, tie, lose], dim=1)


def focal_weight(log_p: Tensor, gamma: float) -> Tensor:
    """``(1 - 2·relu(P - 1/2))^γ`` of any shape (InternLM2, arXiv 2403.17297, γ = 2): 1 for an outcome that the
    model finds less likely than not, falling to 0 for one that it is sure of. The gradient runs through it."""
    return (1.0 - 2.0 * F.relu(log_p.exp() - 0.5)).clamp(min=0.0) ** gamma


def _cross_entropy(log_p: Tensor, shares: Tensor, gamma: float) -> Tensor:
    """``-Σ_k share_k·w_k·ln P_k`` (N,) over outcomes (N, K); w is 1 or, for ``gamma`` > 0, the focal weight."""
    weighted = shares * focal_weight(log_p, gamma) if gamma else shares
    return -(weighted * log_p).sum(dim=1)


def centering(chosen: Tensor, rejected: Tensor) -> Tensor:
    """``(r_c + r_r)²`` of each pair (N,): pairs alone never fix the level (arXiv 2312.09244)."""
    _shaped(_pairs(chosen), chosen=chosen, rejected=rejected)
    return (chosen + rejected) ** 2


def log_barrier(score: Tensor, limit: float) -> Tensor:
    """``-ln(L - r) - ln(L + r)`` of each score (N,) with L = ``limit`` (XTuner's ``log_barrier`` penalty).

    Within δ = L/50 of the limit and beyond it ``-ln z`` goes on as ``((2 - z/δ)² - 1)/2 - ln δ``: the parabola
    with its value, slope and curvature at z = δ. So the term is finite and twice differentiable everywhere, and
    the further outside a score lies the harder it is pulled back (a clamped score would feel nothing).
    """
    _shaped(_pairs(score), score=score)
    edge = BARRIER_EDGE * limit

    def wall(room: Tensor) -> Tensor:
        inside = -torch.log(room.clamp(min=edge))
        beyond = ((2.0 - room.clamp(max=edge) / edge) ** 2 - 1.0) / 2.0
        return inside + beyond  # ``beyond`` is 0 inside, ``inside`` is -ln δ beyond

    return wall(limit - score) + wall(limit + score)


def aspect_regression(predicted: Tensor, ratings: Tensor) -> Tensor:
    """Mean squared error over the ratings that each row has (N,); 0 for a row without any.

    ``predicted``, ``ratings`` (N, A), NaN where a rating is missing (HelpSteer, arXiv 2311.09528). A missing
    rating gives no gradient.
    """
    if predicted.ndim != 2:
        raise ValueError(f"predicted must have shape (N, A), got {tuple(predicted.shape)}")
    _shaped(tuple(predicted.shape), ratings=ratings)
    rated = ~torch.isnan(ratings)
    error = torch.where(rated, predicted - torch.where(rated, ratings, 0.0), 0.0)
    return error.square().sum(dim=1) / rated.sum(dim=1).clamp(min=1)
