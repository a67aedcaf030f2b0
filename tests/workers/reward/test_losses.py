"""Every loss against hand-computed numbers and, in float64, against finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from workers.reward import Vote, pool_votes
from workers.reward.transformer.losses import (
    aspect_regression,
    bradley_terry,
    centering,
    focal_weight,
    log_barrier,
    rao_kupper,
    rao_kupper_log_p,
    smooth,
)

LN2 = math.log(2.0)
NAN = float("nan")


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def d(*values: float, grad: bool = False) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=grad)


def near(found: torch.Tensor, *expected: float, atol: float = 1e-5) -> None:
    torch.testing.assert_close(found, t(*expected), atol=atol, rtol=0)


def test_bradley_terry_has_its_hand_computed_values():
    loss = bradley_terry(t(1.0, 0.0, 1.0, 2.0), t(0.0, 0.0, 1.0, 0.0), t(1.0, 1.0, 1.0, 0.5))
    near(loss, 0.313262, LN2, LN2, 0.5 * 0.126928 + 0.5 * 2.126928)


def test_turning_a_pair_around_changes_no_loss():
    for gamma in (0.0, 2.0):
        straight = bradley_terry(t(0.7), t(0.4), t(0.8), gamma=gamma)
        torch.testing.assert_close(straight, bradley_terry(t(-0.7), t(-0.4), t(0.2), gamma=gamma))
        straight = rao_kupper(t(0.7), t(0.4), t(0.8), t(0.3), torch.tensor(0.5), gamma=gamma)
        turned = rao_kupper(t(-0.7), t(-0.4), t(0.2), t(0.3), torch.tensor(0.5), gamma=gamma)
        torch.testing.assert_close(straight, turned)


def test_the_gradient_vanishes_where_the_label_says():
    delta = t(0.5 + math.log(0.8 / 0.2)).requires_grad_()
    bradley_terry(delta, t(0.5), t(0.8)).sum().backward()
    torch.testing.assert_close(delta.grad, t(0.0), atol=1e-6, rtol=0)


def test_rao_kupper_has_its_hand_computed_values():
    p = rao_kupper_log_p(t(0.0, math.log(4.0)), torch.tensor(LN2)).exp()
    torch.testing.assert_close(p, torch.tensor([[1 / 3, 1 / 3, 1 / 3], [2 / 3, 2 / 9, 1 / 9]]))
    # 40 % ties and 70 % for chosen: half of all votes are wins, a tenth are losses.
    loss = rao_kupper(t(math.log(4.0)), t(0.0), t(0.7), t(0.4), torch.tensor(LN2))
    near(loss, 0.5 * math.log(1.5) + 0.4 * math.log(4.5) + 0.1 * math.log(9.0))


def test_rao_kupper_without_ties_is_bradley_terry_with_a_constant_margin():
    delta = t(-2.0, 0.0, 3.0)
    wins = rao_kupper(delta, t(0.0, 0.0, 0.0), t(1.0, 1.0, 1.0), t(0.0, 0.0, 0.0), torch.tensor(0.7))
    torch.testing.assert_close(wins, bradley_terry(delta, torch.full((3,), 0.7), t(1.0, 1.0, 1.0)))


def test_rao_kupper_learns_the_threshold_that_the_ties_say():
    """Half of the votes between equals are ties: (θ - 1) / (θ + 1) = 1/2, so θ = 3."""
    raw = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        rao_kupper(t(0.0), t(0.0), t(0.5), t(0.5), torch.nn.functional.softplus(raw)).sum().backward()
        optimizer.step()
    assert math.exp(torch.nn.functional.softplus(raw).item()) == pytest.approx(3.0, abs=1e-2)


def test_a_tie_and_split_votes_differ_for_rao_kupper_alone():
    delta, zero, half = t(0.0), t(0.0), t(0.5)
    threshold = torch.tensor(math.log(3.0))
    near(rao_kupper(delta, zero, half, t(1.0), threshold), LN2)  # P(tie) = 1/2
    near(rao_kupper(delta, zero, half, t(0.0), threshold), math.log(4.0))  # P(win) = P(lose) = 1/4
    near(bradley_terry(delta, zero, half), LN2)


def test_focal_ranking_has_its_hand_computed_values():
    loss = bradley_terry(t(1.0, 2.0, -1.0), t(0.0, 0.0, 0.0), t(1.0, 1.0, 1.0), gamma=2.0)
    near(loss, 0.090632, 0.007214, 1.313262)  # the weight is 1 where the pair is ranked wrongly
    near(focal_weight(t(math.log(0.75), math.log(0.5), math.log(0.1)), 2.0), 0.25, 1.0, 1.0)


def test_label_smoothing_has_its_hand_computed_values():
    near(smooth(t(1.0, 0.0, 0.5), 0.2, 1 / 2), 0.9, 0.1, 0.5)
    near(smooth(t(1.0, 0.0), 0.3, 1 / 3), 0.8, 0.1)
    # All three shares are smoothed alike: win is p_chosen - p_tie / 2.
    near(smooth(t(1.0), 0.3, 1 / 2) - smooth(t(0.0), 0.3, 1 / 3) / 2, 0.8)


def test_centering_has_its_hand_computed_values():
    near(centering(t(1.0, 3.0), t(-1.0, 1.0)), 0.0, 16.0)


def test_the_log_barrier_has_its_hand_computed_values():
    near(log_barrier(t(0.0, 3.0, -3.0), 5.0), -3.218876, -math.log(16.0), -math.log(16.0))
    # At the limit and outside: the parabola, δ = 0.1.
    near(log_barrier(t(5.0, 6.0), 5.0), 1.5, 71.5 - math.log(0.1) - math.log(11.0))


def test_the_log_barrier_pulls_outside_scores_back():
    score = t(-1e6, -300.0, -5.001, -5.0, 5.0, 5.001, 300.0, 1e6).requires_grad_()
    value = log_barrier(score, 5.0)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(score.grad).all()
    assert score.grad.sign().tolist() == [-1.0] * 4 + [1.0] * 4  # descent goes inward
    assert score.grad[6] > score.grad[5] > 1.0  # the further outside, the harder


def test_the_log_barrier_is_smooth_where_the_parabola_begins():
    step = 1e-9
    at = d(4.9 - step, 4.9 + step, grad=True)
    value = log_barrier(at, 5.0)
    (slope,) = torch.autograd.grad(value.sum(), at, create_graph=True)
    (curve,) = torch.autograd.grad(slope.sum(), at)
    for found in (value.detach(), slope.detach(), curve):
        torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-6)


def test_aspect_regression_has_its_hand_computed_values_and_leaves_missing_ratings_out():
    predicted = torch.tensor([[1.0, 2.0], [0.0, 0.0], [1.0, 1.0]], requires_grad=True)
    loss = aspect_regression(predicted, torch.tensor([[3.0, NAN], [NAN, NAN], [0.0, 4.0]]))
    near(loss, 4.0, 0.0, 5.0)
    loss.sum().backward()
    torch.testing.assert_close(predicted.grad, torch.tensor([[-4.0, 0.0], [0.0, 0.0], [1.0, -3.0]]))


def test_ratings_that_are_shares_of_votes_fit_the_difference_and_center_the_sum():
    share = d(1.0, 0.75, 0.5, 0.0)  # of the votes on an aspect, for chosen
    chosen, rejected = d(0.9, -2.0, 0.1, 0.5), d(0.2, 1.0, 0.1, 3.0)
    found = aspect_regression(torch.stack([chosen, rejected], 1), torch.stack([share, 1 - share], 1))
    difference, total = chosen - rejected, chosen + rejected
    torch.testing.assert_close(found, ((difference - (2 * share - 1)) ** 2 + (total - 1) ** 2) / 4)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 3.5])
def test_gradcheck_of_the_ranking_losses(gamma):
    delta, margin = d(0.3, -1.2, 4.0, 0.9, grad=True), d(0.1, 0.0, -0.3, 1.0, grad=True)
    p, ties = d(1.0, 0.5, 0.2, 0.9), d(0.0, 0.6, 0.4, 0.1)
    assert gradcheck(lambda x, m: bradley_terry(x, m, p, gamma=gamma), (delta, margin))
    threshold = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x, m, a: rao_kupper(x, m, p, ties, a, gamma=gamma), (delta, margin, threshold))


def test_gradcheck_of_the_other_losses():
    a, b = d(0.3, -1.2, 4.0, grad=True), d(1.3, 0.2, -2.0, grad=True)
    assert gradcheck(centering, (a, b))
    inside_and_outside = d(-30.0, -5.0, -4.95, -4.0, 0.0, 4.5, 4.97, 5.3, 80.0, grad=True)
    assert gradcheck(lambda x: log_barrier(x, 5.0), inside_and_outside)
    predicted = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    ratings = torch.tensor([[3.0, NAN], [NAN, NAN], [0.0, 4.0]], dtype=torch.float64)
    assert gradcheck(lambda x: aspect_regression(x, ratings), predicted)
    assert gradcheck(lambda x: smooth(x, 0.1, 0.5), a)
    assert gradcheck(lambda x: focal_weight(x, 2.0), d(-0.1, -0.4, -2.0, grad=True))


def test_extreme_scores_stay_finite():
    loss = bradley_terry(t(1e4, -1e4), t(0.0, 0.0), t(1.0, 1.0))
    assert loss.tolist() == [0.0, 1e4]
    delta = t(1e4, -1e4, 1e4).requires_grad_()
    for gamma in (0.0, 1.0, 2.0):
        threshold = torch.tensor(1e-6, requires_grad=True)
        loss = rao_kupper(delta, t(0.0, 0.0, 0.0), t(1.0, 1.0, 0.5), t(0.0, 0.0, 1.0), threshold, gamma=gamma)
        loss.sum().backward()
        assert torch.isfinite(loss).all()
        assert torch.isfinite(delta.grad).all()
        assert torch.isfinite(threshold.grad)


def test_a_pair_of_pooled_votes_costs_what_its_votes_cost():
    votes = [Vote("chosen", 2.0), Vote("rejected", 0.5), Vote("tie", 1.5), Vote("chosen", 0.25)]
    label = pool_votes(votes)
    delta, zero, threshold = t(0.8), t(0.0), torch.tensor(0.6)

    def alone(vote: Vote) -> tuple[torch.Tensor, torch.Tensor]:
        p = t({"chosen": 1.0, "tie": 0.5, "rejected": 0.0}[vote.outcome])
        tie = t(float(vote.outcome == "tie"))
        two, three = bradley_terry(delta, zero, p), rao_kupper(delta, zero, p, tie, threshold)
        return vote.reliability * two, vote.reliability * three

    two, three = (sum(part) for part in zip(*map(alone, votes), strict=True))
    p, tie = t(label.p_chosen), t(label.p_tie)
    torch.testing.assert_close(label.weight * bradley_terry(delta, zero, p), two)
    torch.testing.assert_close(label.weight * rao_kupper(delta, zero, p, tie, threshold), three)
