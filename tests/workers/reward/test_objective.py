"""The terms put together: weights, what is learned beside the model, and scores that stay in bounds."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import pytest
import torch

from workers.reward import CorruptModelError, DataError, TransformerConfig
from workers.reward.folder import MODEL_CARD, write_json
from workers.reward.transformer.objective import ASPECT_HEADS, Labels, Objective, load_aspects, save_aspects

LN2 = math.log(2.0)
NAN = float("nan")
PLAIN = TransformerConfig(centering=0.0)


class Said(NamedTuple):
    p_chosen: float = 1.0
    p_tie: float = 0.0
    margin: float = 0.0
    weight: float = 1.0
    ratings: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    draws: tuple[float, ...] = (1.0,)


def objective(width: int = 2, **settings: object) -> Objective:
    return Objective(dataclasses.replace(PLAIN, **settings), width)


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def test_terms_are_weighted_sums_kept_apart():
    labels = Labels.of([Said(weight=2.0), Said(weight=0.0)])
    found = objective(centering=0.5, barrier=0.1)(t(1.0, 3.0), t(1.0, 1.0), labels)
    assert list(found) == ["ranking", "centering", "barrier", "total"]
    assert found["ranking"].item() == pytest.approx(2 * LN2)
    assert found["centering"].item() == pytest.approx(0.5 * 2 * 4)
    assert found["barrier"].item() == pytest.approx(0.1 * 2 * -math.log(4.0 * 6.0))
    assert found["total"].item() == pytest.approx(2 * LN2 + 4 - 0.2 * math.log(24.0))


def test_a_term_that_is_off_is_not_there():
    assert list(objective()(t(1.0), t(0.0), Labels.of([Said()]))) == ["ranking", "total"]
    assert list(objective().parameters()) == []


def test_the_mean_over_a_step_does_not_depend_on_how_it_is_cut():
    said = [Said(p, tie, m, w) for p, tie, m, w in [(1, 0, 0.5, 1), (0.5, 1, 0, 2), (0.7, 0.2, 0, 0.5)]]
    chosen, rejected = t(0.3, -0.4, 1.2), t(0.1, 0.9, -2.0)
    whole = objective(ranking="rao_kupper", focal=2.0, label_smoothing=0.1, centering=0.01, barrier=0.01)
    together = whole(chosen, rejected, Labels.of(said))["total"]
    parts = [whole(chosen[s], rejected[s], Labels.of(said[s]))["total"] for s in (slice(0, 1), slice(1, 3))]
    torch.testing.assert_close(together, parts[0] + parts[1])


def test_rao_kupper_with_smoothing_has_its_hand_computed_value():
    found = objective(ranking="rao_kupper", label_smoothing=0.3)(
        t(math.log(4.0)), t(0.0), Labels.of([Said()])
    )
    # θ = 2 at first: P = 2/3, 2/9, 1/9 of win, tie, lose, whose shares are 0.8, 0.1, 0.1.
    by_hand = 0.8 * math.log(1.5) + 0.1 * math.log(4.5) + 0.1 * math.log(9.0)
    assert found["total"].item() == pytest.approx(by_hand, abs=1e-5)


def test_margin_and_score_must_have_one_shape():
    labels = Labels.of([Said(), Said()])
    with pytest.raises(ValueError, match="shape"):
        objective()(t(1.0, 2.0)[:, None], t(0.0, 0.0)[:, None], labels)
    with pytest.raises(ValueError, match="shape"):
        objective()(t(1.0, 2.0), t(0.0, 0.0), dataclasses.replace(labels, weight=t(1.0, 1.0)[:, None]))
    with pytest.raises(ValueError, match="shape"):
        objective()(t(1.0, 2.0), t(0.0, 0.0), dataclasses.replace(labels, margin=t(1.0, 1.0)[:, None]))


def test_gradcheck_of_everything_at_once():
    whole = objective(
        ranking="rao_kupper", focal=2.0, label_smoothing=0.1, centering=0.1, barrier=0.1, aspects=("a", "b")
    ).double()
    said = [
        Said(0.7, 0.2, 0.3, 2.0, ((1.0, NAN), (NAN, NAN))),
        Said(0.5, 1.0, 0.0, 0.5, ((0.0, 2.0), (3.0, 1.0))),
    ]
    labels = Labels(*(getattr(Labels.of(said), name).double() for name in Labels.__slots__))
    scores = [torch.randn(2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    states = [torch.randn(2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    learned = list(whole.parameters())
    assert len(learned) == 3

    def total(chosen, rejected, one, other, *_learned):
        return whole(chosen, rejected, labels, (one, other))["total"]

    assert torch.autograd.gradcheck(total, (*scores, *states, *learned))


def test_the_threshold_starts_from_the_share_of_ties():
    learned = objective(ranking="rao_kupper")
    learned.start_from([Said(0.5, 1.0), Said(1.0, 0.0)])
    assert learned.tie_threshold == pytest.approx(3.0, rel=1e-4)  # (3 - 1) / (3 + 1) is one half
    learned.start_from([Said()])  # no tie at all: nearly none expected
    assert 1.0 < learned.tie_threshold < 1.05
    assert objective().tie_threshold is None


def test_aspects_start_at_the_mean_rating_and_one_that_nobody_rates_is_refused():
    rated = objective(aspects=("help", "tone"))
    rated.start_from([Said(ratings=((4.0, NAN), (1.0, 2.0))), Said(ratings=((NAN, NAN), (1.0, NAN)))])
    torch.testing.assert_close(rated.aspects.bias.detach(), t(2.0, 2.0))
    with pytest.raises(DataError, match="no training pair rates the aspect tone"):
        rated.start_from([Said(ratings=((4.0, NAN), (1.0, NAN)))])


def test_aspects_are_masked_and_weighted():
    rated = objective(aspects=("help", "tone"), aspect_weight=0.5)
    with torch.no_grad():
        rated.aspects.weight.copy_(torch.eye(2))
    labels = Labels.of([Said(ratings=((3.0, NAN), (NAN, 0.0)), weight=2.0), Said(ratings=((NAN, NAN),) * 2)])
    states = (torch.tensor([[1.0, 9.0], [5.0, 5.0]]), torch.tensor([[9.0, 4.0], [5.0, 5.0]]))
    found = rated(t(0.0, 0.0), t(0.0, 0.0), labels, states)
    assert found["aspects"].item() == pytest.approx(0.5 * 2.0 * (4.0 + 16.0) / 2)
    with pytest.raises(ValueError, match="pooled states"):
        rated(t(0.0, 0.0), t(0.0, 0.0), labels)


def test_the_seed_alone_decides_the_aspect_heads():
    torch.manual_seed(5)
    one = objective(aspects=("a",))
    torch.rand(10)
    assert torch.equal(one.aspects.weight, objective(aspects=("a",)).aspects.weight)
    assert not torch.equal(one.aspects.weight, objective(aspects=("a",), seed=1).aspects.weight)
    assert one.aspects.weight.dtype == torch.float32


def test_continuing_keeps_the_threshold_and_the_heads_of_the_same_aspects(tmp_path):
    first = objective(aspects=("help", "tone"), ranking="rao_kupper", seed=7)
    first.start_from([Said(0.5, 1.0, ratings=((1.0, 2.0), (3.0, 4.0)))])
    save_aspects(tmp_path, first.aspects)
    write_json(tmp_path / MODEL_CARD, {"aspects": ["help", "tone"], "tie_threshold": first.tie_threshold})
    then = objective(aspects=("new", "tone"), ranking="rao_kupper")
    before = then.aspects.weight[0].clone()
    then.adopt(tmp_path)
    assert then.tie_threshold == pytest.approx(first.tie_threshold, rel=1e-5)
    assert torch.equal(then.aspects.weight[1], first.aspects.weight[1])
    assert torch.equal(then.aspects.weight[0], before)
    with pytest.raises(CorruptModelError, match="aspect heads"):
        load_aspects(tmp_path, ["help"], 2)
    (tmp_path / ASPECT_HEADS).unlink()
    with pytest.raises(CorruptModelError, match="aspect heads"):
        load_aspects(tmp_path, ["help", "tone"], 2)
    objective().adopt(tmp_path / "nothing")  # a base that is no model of ours has nothing to hand on


@pytest.mark.parametrize(
    ("settings", "bound"),
    [({"centering": 0.01}, 25.0), ({"barrier": 0.01}, 5.0)],
    ids=["centering", "barrier"],
)
def test_scores_stay_bounded_over_long_training(settings, bound):
    """Scores that have drifted to 300 come back, and an easy pair never takes them out again."""

    def trained(whole: Objective) -> torch.Tensor:
        scores = torch.tensor([300.0, 299.0], requires_grad=True)
        optimizer = torch.optim.Adam([scores], lr=0.5, betas=(0.9, 0.98))
        labels = Labels.of([Said()])
        for _ in range(2000):
            optimizer.zero_grad()
            whole(scores[:1], scores[1:], labels)["total"].backward()
            optimizer.step()
        return scores.detach()

    assert trained(objective()).abs().max() > 250.0  # the ranking term alone does not care
    found = trained(objective(**settings))
    assert found.abs().max() < bound
    assert found[0] > found[1]
