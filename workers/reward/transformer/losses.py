"""Pairwise losses as pure functions of tensors; every term comes back apart."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def _flat(n: int, **tensors: Tensor) -> None:
    """A (N, 1) beside a (N,) would broadcast to N x N and still give a number: refuse it."""
    for name, value in tensors.items():
        if value.shape != (n,):
            raise ValueError(f"{name} must have shape ({n},), got {tuple(value.shape)}")


def bradley_terry(delta: Tensor, margin: Tensor, p_chosen: Tensor) -> Tensor:
    """``-[p·ln σ(Δ - m) + (1 - p)·ln σ(-(Δ - m))]`` of each pair (N,); least where ``Δ = m + logit(p)``.

    With p = 1 this is Bradley-Terry with a margin; with m = 0 the soft-label cross-entropy. ``margin`` is
    signed towards the preferred side, so turning a pair around changes nothing.
    """
    _flat(delta.shape[0], delta=delta, margin=margin, p_chosen=p_chosen)
    d = delta - margin
    return p_chosen * F.softplus(-d) + (1.0 - p_chosen) * F.softplus(d)


def centering(chosen: Tensor, rejected: Tensor) -> Tensor:
    """``(r_c + r_r)²`` of each pair (N,): pairs alone never fix the level (arXiv 2312.09244)."""
    _flat(chosen.shape[0], chosen=chosen, rejected=rejected)
    return (chosen + rejected) ** 2


def pair_terms(
    chosen: Tensor, rejected: Tensor, margin: Tensor, p_chosen: Tensor, weight: Tensor, *, center: float
) -> dict[str, Tensor]:
    """Sums over the N pairs of a batch: ``ranking``, ``centering`` (times its factor) and ``total``; scalars.

    Weights multiply both terms. The caller divides by the number of pairs of the whole step, so that
    splitting a step into batches of unequal size changes nothing.
    """
    _flat(chosen.shape[0], chosen=chosen, rejected=rejected, weight=weight)
    ranking = (weight * bradley_terry(chosen - rejected, margin, p_chosen)).sum()
    middle = center * (weight * centering(chosen, rejected)).sum()
    return {"ranking": ranking, "centering": middle, "total": ranking + middle}
