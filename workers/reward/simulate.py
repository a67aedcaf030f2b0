"""What an acquisition function would have saved: an offline simulator over labeled data.

For each seed, whole groups are held out for the test by salted hash and the other groups' pairs are the pool. Every
strategy starts from the same random pairs; then in rounds it sees the pairs labeled so far and the texts of all
others, asks for the labels of a batch, and the starter is fitted again and measured on the held-out groups. Groups
differ more than strategies do, so strategies are compared on the same seed.

The regularisation is chosen once for each seed by grouped cross-validation over the pool and is the same for every
strategy and round, which isolates the choice of pairs. Fits start from the round before and take some ten
milliseconds on 720 responses.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .config import StarterConfig
from .errors import ConfigError, DataError, Stopped
from .linear import Dataset, choose_regularisation
from .metrics import credit
from .starter.features import FeatureSpec, featurise
from .starter.solver import Array, Design, Index, compress, fit
from .starter.train import collect
from .strategies import STRATEGIES, Round, Strategy
from .types import Callbacks, Pair

MOST_RESPONSES = 5_000  # the Gram matrix of all responses is held: 200 MB


@dataclass(frozen=True)
class SimulationConfig:
    """``sizes`` are numbers of labels, the first of them the random start; ``held_out`` is the share of groups kept
    for the test; ``strategies`` names of ``STRATEGIES``, random being added where it is missing. ``reference`` is
    the number of random labels whose accuracy the others are to reach."""

    seeds: tuple[int, ...] = tuple(range(10))
    sizes: tuple[int, ...] = (100, 200, 300, 400, 500, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000)
    held_out: float = 0.25
    strategies: tuple[str, ...] = ()
    reference: int = 2000
    starter: StarterConfig = field(default_factory=StarterConfig)

    def __post_init__(self) -> None:
        unknown = set(self.strategies) - set(STRATEGIES)
        if unknown:
            raise ConfigError(
                f"unknown strategy {', '.join(sorted(unknown))}; there are {', '.join(STRATEGIES)}"
            )
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ConfigError(f"seeds must be some different numbers, got {self.seeds}")
        if not self.sizes or self.sizes[0] < 1 or any(np.diff(self.sizes) < 1):
            raise ConfigError(f"numbers of labels must rise from 1, got {self.sizes}")
        if self.reference not in self.sizes:
            raise ConfigError(f"the reference {self.reference} is none of the numbers of labels {self.sizes}")
        if not 0.0 < self.held_out < 1.0:
            raise ConfigError(f"the held-out share must lie in (0, 1), got {self.held_out}")

    @property
    def names(self) -> tuple[str, ...]:
        """The strategies to run, random first."""
        return tuple(dict.fromkeys(("random", *(self.strategies or STRATEGIES))))


@dataclass(frozen=True)
class Simulation:
    """``accuracy`` (strategies, seeds, sizes) on held-out groups; ``c`` and ``tested`` pairs of each seed."""

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    sizes: tuple[int, ...]
    reference: int
    accuracy: Array
    c: tuple[float, ...]
    tested: tuple[int, ...]
    seconds: dict[str, float]

    @property
    def target(self) -> Array:
        """Random's accuracy at the reference, for each seed."""
        return np.asarray(self.accuracy[self.names.index("random"), :, self.sizes.index(self.reference)])

    def needs(self, name: str) -> tuple[int | None, int | None]:
        """Numbers of labels with which the mean over seeds is at least that of the target: the least, and the least
        from which on it never falls below again. Curves that have levelled out cross by chance, so the first
        flatters and the second is strict."""
        gap = (self.accuracy[self.names.index(name)] - self.target[:, None]).mean(axis=0)  # (sizes,)
        above = gap >= 0
        first = self.sizes[int(above.argmax())] if above.any() else None
        stays = int(np.flatnonzero(~above).max(initial=-1)) + 1
        return first, self.sizes[stays] if stays < len(self.sizes) else None

    def gain(self, name: str, size: int) -> tuple[float, float]:
        """Mean over seeds of accuracy with ``size`` labels less the target, and its standard error (NaN for one
        seed)."""
        gap = self.accuracy[self.names.index(name), :, self.sizes.index(size)] - self.target
        return float(gap.mean()), _deviation(gap) / float(np.sqrt(len(gap)))

    def table(self) -> str:
        """Mean ± standard deviation over seeds: a line for each number of labels, a column for each strategy; then
        what each needs to reach the target, and its distance from it at six tenths of the labels."""
        width = max(17, *(len(name) + 2 for name in self.names))
        lines = ["labels" + "".join(f"{name:>{width}}" for name in self.names)]
        for j, size in enumerate(self.sizes):
            cells = (f"{at.mean():.4f} ±{_deviation(at):.3f}" for at in self.accuracy[:, :, j])
            lines.append(f"{size:6d}" + "".join(f"{cell:>{width}}" for cell in cells))
        for label, needs in zip(
            ("first", "stays"), zip(*map(self.needs, self.names), strict=True), strict=True
        ):
            lines.append(f"{label:6}" + "".join(f"{n or '-':>{width}}" for n in needs))
        size = self.early
        gains = (self.gain(name, size) for name in self.names)
        lines.append(
            f"{size:6d}" + "".join(f"{f'{gain:+.4f} ±{error:.4f}':>{width}}" for gain, error in gains)
        )
        lines.append(
            f"first, stays: labels with which the mean over {len(self.seeds)} seeds reaches random's at "
            f"{self.reference} ({self.target.mean():.4f}), and from which on it stays there; last line: mean "
            f"difference from it at {size}, ± standard error"
        )
        return "\n".join(lines)

    @property
    def early(self) -> int:
        """The greatest number of labels up to six tenths of the reference."""
        return max((size for size in self.sizes if size <= 0.6 * self.reference), default=self.sizes[0])

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "seeds": list(self.seeds),
            "sizes": list(self.sizes),
            "reference": self.reference,
            "c": list(self.c),
            "tested": list(self.tested),
            "strategies": {
                name: {
                    "accuracy": self.accuracy[i].tolist(),
                    "first": self.needs(name)[0],
                    "stays": self.needs(name)[1],
                    "seconds": self.seconds[name],
                }
                for i, name in enumerate(self.names)
            },
        }


def _deviation(values: Array) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def held_out_groups(names: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Which groups (G,) are kept for the test: those with the least salted hashes, at least one and not all."""
    count = min(max(1, round(share * len(names))), len(names) - 1)
    digests = [hashlib.sha256(f"{seed}:{name}".encode("utf-8", "replace")).digest() for name in names]
    kept = np.zeros(len(names), dtype=bool)
    kept[sorted(range(len(names)), key=digests.__getitem__)[:count]] = True
    return kept


def simulate(
    pairs: Sequence[Pair], config: SimulationConfig, *, callbacks: Callbacks | None = None
) -> Simulation:
    """Run every strategy with every seed over ``pairs``, whose own splits are ignored.

    Raises ``DataError`` with fewer than two groups, more than 5,000 distinct responses, or a pool with fewer pairs
    than the most labels asked for; ``Stopped`` between rounds.
    """
    told = callbacks or Callbacks()
    texts, data = collect((replace(pair, split="train") for pair in pairs), config.starter)
    if data.counts["groups"] < 2 or len(texts) > MOST_RESPONSES:
        raise DataError(
            f"a simulation needs at least 2 groups and at most {MOST_RESPONSES} distinct responses, found "
            f"{data.counts['groups']} and {len(texts)}"
        )
    spec = FeatureSpec(hash_bits=config.starter.hash_bits, max_chars=config.starter.max_chars)
    design = compress(featurise(texts, spec), limit=MOST_RESPONSES)
    names = list(dict.fromkeys(p.group_key for p in pairs if p.chosen != p.rejected and p.weight > 0))
    accuracy = np.zeros((len(config.names), len(config.seeds), len(config.sizes)))
    found: list[tuple[float, int]] = []
    seconds = dict.fromkeys(config.names, 0.0)
    for j, seed in enumerate(config.seeds):
        test = held_out_groups(names, config.held_out, seed)[data.groups]  # (N,)
        pool = np.random.default_rng(seed).permutation(np.flatnonzero(~test))
        if len(pool) < config.sizes[-1]:
            raise DataError(
                f"seed {seed}: {len(pool)} pairs in the pool, {config.sizes[-1]} labels asked for"
            )
        c = _regularisation(design, data, ~test, config.starter, told)
        found.append((c, int(test.sum())))
        for i, name in enumerate(config.names):
            started = time.monotonic()
            told.progress(j * len(config.names) + i, len(config.seeds) * len(config.names), name)
            accuracy[i, j] = _run(STRATEGIES[name], design, data, pool, test, c, seed, config, told)
            seconds[name] += time.monotonic() - started
    c_values, tested = zip(*found, strict=True)
    return Simulation(
        config.names, config.seeds, config.sizes, config.reference, accuracy, c_values, tested, seconds
    )


def _regularisation(
    design: Design, data: Dataset, mask: NDArray[np.bool_], config: StarterConfig, told: Callbacks
) -> float:
    """C by grouped cross-validation over the pool alone."""
    names, groups = np.unique(data.groups[mask], return_inverse=True)
    part = Dataset(data.training.subset(mask), data.validation, groups, [], {"groups": len(names)})
    rng = np.random.default_rng(config.seed)
    return choose_regularisation(design, part, config, rng, told).c


def _run(
    strategy: Strategy,
    design: Design,
    data: Dataset,
    pool: Index,
    test: NDArray[np.bool_],
    c: float,
    seed: int,
    config: SimulationConfig,
    told: Callbacks,
) -> list[float]:
    """Accuracy at each size."""
    pairs, held = data.training, data.training.subset(test)
    held = held.subset(held.p != 0.5)
    rng = np.random.default_rng([seed, 1])
    labeled, waiting = pool[: config.sizes[0]], pool[config.sizes[0] :]
    weights, out = None, []
    for size, following in zip(config.sizes, (*config.sizes[1:], None), strict=True):
        if told.should_stop():
            raise Stopped("the simulation was stopped")
        weights = fit(design, pairs.subset(labeled), c, start=weights)
        scores = design.rows @ weights
        out.append(float(credit(scores[held.a] - scores[held.b], held.p).mean()))
        if following is None:
            break
        seen = Round(
            design,
            pairs,
            data.groups,
            labeled,
            waiting,
            weights,
            c,
            following - size,
            config.starter.heads,
            rng,
        )
        chosen = strategy(seen)
        labeled = np.concatenate([labeled, waiting[chosen]])
        waiting = np.delete(waiting, chosen)
    return out
