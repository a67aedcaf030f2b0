"""The simulator: rounds, leaks, determinism, its table, and the claim on the real data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import numpy as np
import pytest

from workers.reward import Callbacks, ConfigError, DataError, Pair, StarterConfig, Stopped
from workers.reward.simulate import Simulation, SimulationConfig, held_out_groups, simulate
from workers.reward.strategies import STRATEGIES, Round

from .builders import argument_pairs, planted_pairs

SMALL = SimulationConfig(
    seeds=(0, 1), sizes=(10, 20, 40), reference=40, starter=StarterConfig(heads=3, regularisation=(1e-3,))
)


def redundant_pairs(n: int = 160, *, seed: int = 0) -> list[Pair]:
    """Planted pairs whose responses stand in several comparisons each."""
    base, rng = planted_pairs(40, seed=seed), np.random.default_rng(seed)
    out = []
    for i in range(n):
        one = base[int(rng.integers(40))]
        other = base[int(rng.integers(5)) * 8 + int(one.group[1:])]  # of the same group
        out.append(dataclasses.replace(one, pair_id=f"r{i}", rejected=other.rejected))
    return out


def test_every_strategy_learns_and_starts_from_the_same_pairs():
    found = simulate(redundant_pairs(), SMALL)
    assert found.names == tuple(STRATEGIES)
    assert found.accuracy.shape == (len(STRATEGIES), 2, 3)
    assert (found.accuracy[:, :, 0] == found.accuracy[0, :, 0]).all()
    assert (found.accuracy[:, :, -1] > 0.8).all()
    assert found.c == (1e-3, 1e-3)


def test_the_same_seed_gives_the_same_figures():
    pairs = redundant_pairs()
    np.testing.assert_array_equal(simulate(pairs, SMALL).accuracy, simulate(pairs, SMALL).accuracy)


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_a_strategy_chooses_open_pairs_once_and_sees_no_label(name, monkeypatch):
    """The same choice whatever the labels of open pairs say; this is what keeps a simulation honest."""
    chosen: list[np.ndarray] = []
    strategy = STRATEGIES[name]

    def watched(r: Round) -> np.ndarray:
        lies = dataclasses.replace(r.pairs, p=r.pairs.p.copy())
        lies.p[r.open] = 0.0
        state = r.rng.bit_generator.state
        told = strategy(r)
        r.rng.bit_generator.state = state
        np.testing.assert_array_equal(told, strategy(dataclasses.replace(r, pairs=lies)))
        assert len(told) == r.count == len(set(told.tolist()))
        assert not set(r.labeled) & set(r.open)
        chosen.append(told)
        return told

    monkeypatch.setitem(STRATEGIES, name, watched)
    simulate(redundant_pairs(), dataclasses.replace(SMALL, strategies=(name,)))
    assert len(chosen) == 4  # two seeds, two acquisitions


def test_held_out_groups_change_with_the_seed_and_not_with_the_order():
    names = [f"g{i}" for i in range(11)]
    kept = held_out_groups(names, 0.25, 0)
    assert kept.sum() == 3
    assert held_out_groups(names[::-1], 0.25, 0)[::-1].tolist() == kept.tolist()
    assert any(held_out_groups(names, 0.25, seed).tolist() != kept.tolist() for seed in (1, 2, 3))
    assert held_out_groups(["a", "b"], 0.99, 0).sum() == 1


def made(accuracy: dict[str, list[list[float]]]) -> Simulation:
    names = tuple(accuracy)
    values = np.array([accuracy[name] for name in names])
    return Simulation(
        names, (0, 1), (100, 600, 1000), 1000, values, (1.0, 1.0), (5, 5), dict.fromkeys(names, 0.0)
    )


def test_what_a_strategy_needs():
    found = made(
        {
            "random": [[0.5, 0.6, 0.7], [0.5, 0.7, 0.8]],
            "good": [[0.5, 0.7, 0.8], [0.5, 0.9, 0.8]],
            "dips": [[0.8, 0.6, 0.8], [0.8, 0.7, 0.8]],
            "poor": [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]],
        }
    )
    assert [found.needs(n) for n in found.names] == [(1000, 1000), (600, 600), (100, 1000), (None, None)]
    odd = made({"random": [[0.1, 0.2, 0.7], [0.1, 0.2, 0.1 + 0.2]]})
    assert odd.needs("random") == (1000, 1000)  # rounding does not part a curve from itself
    mean, error = found.gain("good", 600)
    assert mean == pytest.approx(0.05)  # 0.7 - 0.7 and 0.9 - 0.8
    assert error == pytest.approx(0.05)  # deviation 0.0707 over the root of two
    lines = found.table().splitlines()
    assert lines[0].split() == ["labels", "random", "good", "dips", "poor"]
    assert lines[1].split()[:3] == ["100", "0.5000", "±0.000"]
    assert lines[4].split() == ["first", "1000", "600", "100", "-"]
    assert lines[5].split() == ["stays", "1000", "600", "1000", "-"]
    assert lines[6].split()[:5] == ["600", "-0.1000", "±0.0000", "+0.0500", "±0.0500"]
    assert json.loads(json.dumps(found.as_dict()))["strategies"]["dips"]["stays"] == 1000


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"strategies": ("best",)}, "best"),
        ({"seeds": ()}, "seeds"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"sizes": (10, 10)}, "rise"),
        ({"sizes": (10, 20)}, "reference"),
        ({"held_out": 1.0}, "held-out"),
    ],
)
def test_settings_out_of_bounds_are_refused(values, word):
    with pytest.raises(ConfigError, match=word):
        dataclasses.replace(SMALL, **values)


def test_data_that_cannot_be_simulated_is_refused():
    with pytest.raises(DataError, match="groups"):
        simulate([dataclasses.replace(p, group="one") for p in redundant_pairs()], SMALL)
    with pytest.raises(DataError, match="pool"):
        simulate(redundant_pairs(30), SMALL)


def test_a_simulation_can_be_stopped():
    class Once(Callbacks):
        turns: Iterator[bool] = iter([False, False, True, True])

        def should_stop(self) -> bool:
            return next(self.turns)

    with pytest.raises(Stopped):
        simulate(redundant_pairs(), SMALL, callbacks=Once())


def test_covering_orders_have_with_400_labels_what_random_has_with_600():
    """The app's order (covering heads) and the one that needs no ensemble.

    That 1,200 labels do for random's 2,000 is held by no test: with five seeds its sign is chance, with the forty
    that show it the simulation takes minutes (docs/experiments.md).
    """
    names = ("covering heads", "covering change")
    config = SimulationConfig(sizes=(100, 200, 400, 600), reference=600, strategies=names)
    found = simulate(argument_pairs(set(), set()), config)
    assert len(found.seeds) >= 5
    chance, *others = found.accuracy.mean(axis=1)  # over seeds: (sizes,)
    for name, ours in zip(names, others, strict=True):
        assert ours[2] - chance[2] > 0.002, name
        assert ours[2] > chance[3] - 0.001, name
