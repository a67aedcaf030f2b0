"""Pairwise losses against hand-computed numbers."""

from __future__ import annotations

import math

import pytest
import torch

from workers.reward.transformer.losses import bradley_terry, centering, pair_terms


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def test_bradley_terry_has_its_hand_computed_values():
    loss = bradley_terry(t(1.0, 0.0, 1.0, 2.0), t(0.0, 0.0, 1.0, 0.0), t(1.0, 1.0, 1.0, 0.5))
    expected = [0.313262, math.log(2), math.log(2), 0.5 * 0.126928 + 0.5 * 2.126928]
    torch.testing.assert_close(loss, t(*expected), atol=1e-5, rtol=0)


def test_margin_and_score_must_have_one_shape():
    with pytest.raises(ValueError, match=r"margin must have shape \(2,\)"):
        bradley_terry(t(1.0, 2.0), t(1.0, 2.0)[:, None], t(1.0, 1.0))
    with pytest.raises(ValueError, match="delta"):
        bradley_terry(t(1.0, 2.0)[:, None], t(1.0, 2.0), t(1.0, 1.0))
    with pytest.raises(ValueError, match="weight"):
        pair_terms(t(1.0), t(0.0), t(0.0), t(1.0), t(1.0)[:, None], center=0.0)


def test_turning_a_pair_around_changes_no_loss():
    straight = bradley_terry(t(0.7), t(0.4), t(0.8))
    turned = bradley_terry(t(-0.7), t(-0.4), t(0.2))
    torch.testing.assert_close(straight, turned)


def test_the_gradient_vanishes_where_the_label_says():
    delta = t(0.5 + math.log(0.8 / 0.2)).requires_grad_()
    bradley_terry(delta, t(0.5), t(0.8)).sum().backward()
    torch.testing.assert_close(delta.grad, t(0.0), atol=1e-6, rtol=0)


def test_gradcheck_in_float64():
    arguments = [torch.randn(4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    fixed = torch.tensor([0.1, 0.0, -0.3, 1.0], dtype=torch.float64)
    p = torch.tensor([1.0, 0.5, 0.2, 0.9], dtype=torch.float64)

    def total(chosen, rejected):
        return pair_terms(chosen, rejected, fixed, p, p + 1, center=0.1)["total"]

    assert torch.autograd.gradcheck(total, arguments)


def test_terms_are_weighted_sums_kept_apart():
    found = pair_terms(t(1.0, 3.0), t(1.0, 1.0), t(0.0, 0.0), t(1.0, 1.0), t(2.0, 0.0), center=0.5)
    assert found["ranking"].item() == pytest.approx(2 * math.log(2))
    assert found["centering"].item() == pytest.approx(0.5 * 2 * 4)
    assert found["total"].item() == pytest.approx(2 * math.log(2) + 4)
    torch.testing.assert_close(centering(t(1.0), t(-1.0)), t(0.0))


def test_extreme_scores_stay_finite():
    loss = bradley_terry(t(1e4, -1e4), t(0.0, 0.0), t(1.0, 1.0))
    assert loss.tolist() == [0.0, 1e4]
