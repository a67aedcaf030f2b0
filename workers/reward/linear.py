"""What linear Bradley-Terry models share, whatever their columns: pairs over distinct responses, C by grouped
cross-validation, bootstrap heads, one temperature."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from .calibration import NOTHING, Calibration, calibrate, fit_temperature
from .draws import MIN_BOOTSTRAP_GROUPS
from .errors import DataError, Stopped
from .labels import signed_margin
from .metrics import decided_accuracy
from .starter.solver import Array, Design, Problem, fit, losses, pair_matrix
from .types import Callbacks, Pair

# Fewer pairs or groups than this say nothing about C that the default does not know better.
MIN_CV_PAIRS = 40
MIN_CV_GROUPS = 4

K = TypeVar("K", bound=Hashable)


class LinearSettings(Protocol):
    """What of a kind's settings the fit reads."""

    @property
    def seed(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def folds(self) -> int: ...
    @property
    def regularisation(self) -> tuple[float, ...]: ...
    @property
    def default_c(self) -> float: ...
    @property
    def margin_scale(self) -> float: ...


@dataclass(slots=True)
class Dataset:
    """Two sets of pairs over numbered responses; ``groups`` (N,) number the training pairs' groups,
    ``validation_groups`` (M,) name the validation pairs'."""

    training: Problem
    validation: Problem
    groups: NDArray[np.int64]
    validation_groups: list[str]
    counts: dict[str, int]

    def count_overlong(self, cut: Sequence[bool]) -> None:
        """Count the pairs of both sets with a response that is ``cut`` (one for each response); test pairs are in
        neither."""
        some = np.array(cut, dtype=np.bool_)
        self.counts["overlong"] = sum(
            int((some[p.a] | some[p.b]).sum()) for p in (self.training, self.validation)
        )


def _problem(
    pairs: list[Pair], index: dict[K, int], read: Callable[[Pair, str], K], margin_scale: float
) -> Problem:
    return Problem(
        a=np.array([index[read(p, p.chosen)] for p in pairs], dtype=np.int64),
        b=np.array([index[read(p, p.rejected)] for p in pairs], dtype=np.int64),
        p=np.array([p.p_chosen for p in pairs], dtype=np.float64),
        margin=np.array([signed_margin(p, margin_scale) for p in pairs], dtype=np.float64),
        weight=np.array([p.weight for p in pairs], dtype=np.float64),
    )


def gather(
    pairs: Iterable[Pair], config: LinearSettings, read: Callable[[Pair, str], K]
) -> tuple[list[K], Dataset]:
    """Distinct responses, as ``read`` makes them of pair and text, and the pairs over them by split; test pairs are
    counted and left alone.

    Raises ``DataError`` when no training pair says anything (none, all weight 0, or both texts equal).
    """
    splits: dict[str, list[Pair]] = {"train": [], "validation": [], "test": []}
    counts = {"equal_texts": 0, "ties": 0}
    for pair in pairs:
        counts["ties"] += pair.is_tie
        if pair.chosen == pair.rejected:
            counts["equal_texts"] += 1
        elif pair.weight > 0:
            splits[pair.split].append(pair)
    counts |= {"train": len(splits["train"]), "validation": len(splits["validation"])}
    counts["test_ignored"] = len(splits["test"])
    if not splits["train"]:
        raise DataError("there is no pair to train on")
    used = splits["train"] + splits["validation"]
    keys = dict.fromkeys(read(p, text) for p in used for text in (p.chosen, p.rejected))
    index = {key: i for i, key in enumerate(keys)}
    numbers: dict[str, int] = {}
    groups = np.array(
        [numbers.setdefault(p.group_key, len(numbers)) for p in splits["train"]], dtype=np.int64
    )
    counts |= {"groups": len(numbers), "responses": len(index)}
    data = Dataset(
        _problem(splits["train"], index, read, config.margin_scale),
        _problem(splits["validation"], index, read, config.margin_scale),
        groups,
        [p.group_key for p in splits["validation"]],
        counts,
    )
    return list(index), data


def fold_of_group(groups: NDArray[np.int64], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Fold of each group (G,): largest groups first into the emptiest fold, ties among equals at random."""
    sizes = np.bincount(groups)
    filled = np.zeros(min(folds, len(sizes)))
    fold = np.zeros(len(sizes), dtype=np.int64)
    order = rng.permutation(len(sizes))
    for g in order[np.argsort(-sizes[order], kind="stable")]:
        fold[g] = int(filled.argmin())
        filled[fold[g]] += sizes[g]
    return fold


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen C, and differences (N,) predicted for pairs while their group was held out (empty without
    cross-validation)."""

    c: float
    held_out: Array
    accuracy: float
    log_loss: float


def check(told: Callbacks) -> None:
    """Raises ``Stopped`` when asked to."""
    if told.should_stop():
        raise Stopped("stopped; a linear fit has no state worth keeping")


def choose_regularisation(
    design: Design, data: Dataset, config: LinearSettings, rng: np.random.Generator, told: Callbacks
) -> Choice:
    """C with the least log-loss (after one temperature each) over held-out training groups."""
    problem, n = data.training, len(data.groups)
    if n < MIN_CV_PAIRS or data.counts["groups"] < MIN_CV_GROUPS or len(config.regularisation) == 1:
        c = config.regularisation[0] if len(config.regularisation) == 1 else config.default_c
        return Choice(c, np.zeros(0), float("nan"), float("nan"))
    fold = fold_of_group(data.groups, config.folds, rng)[data.groups]  # (N,)
    values = sorted(config.regularisation)
    held_out = np.zeros((len(values), n))
    difference = pair_matrix(problem, design.rows.shape[0])
    for f in range(int(fold.max()) + 1):
        test, start = fold == f, None
        for i, c in enumerate(values):
            check(told)
            start = fit(design, problem.subset(~test), c, start=start)
            held_out[i, test] = difference[test] @ (design.rows @ start)
        told.progress(f + 1, int(fold.max()) + 1, "cross_validate")
    found = []
    for i, c in enumerate(values):
        t = fit_temperature(held_out[i], problem.p, problem.weight)
        loss = float(np.average(losses(held_out[i] / t, _without_margin(problem)), weights=problem.weight))
        found.append(Choice(c, held_out[i], decided_accuracy(held_out[i], problem.p), loss))
        told.metric(i, {"c": c, "cv_log_loss": loss, "cv_accuracy": found[-1].accuracy})
    return min(found, key=lambda choice: choice.log_loss)


def _without_margin(problem: Problem) -> Problem:
    return Problem(problem.a, problem.b, problem.p, np.zeros_like(problem.margin), problem.weight)


def bootstrap_weights(groups: NDArray[np.int64], heads: int, rng: np.random.Generator) -> Array:
    """Times each pair is drawn by each head (K, N), whole groups together. With fewer than six groups a draw
    of groups would leave most of the data out of a head, so single pairs are drawn instead."""
    g = int(groups.max()) + 1
    if g >= MIN_BOOTSTRAP_GROUPS:
        return rng.multinomial(g, np.full(g, 1 / g), size=heads).astype(np.float64)[:, groups]
    n = len(groups)
    return rng.multinomial(n, np.full(n, 1 / n), size=heads).astype(np.float64)


def fit_heads(
    design: Design, data: Dataset, c: float, config: LinearSettings, rng: np.random.Generator, told: Callbacks
) -> tuple[Array, Array]:
    """The full fit (D,) and the bootstrap heads (K, D), all in the original columns."""
    main = fit(design, data.training, c)
    rows = []
    for i, factor in enumerate(bootstrap_weights(data.groups, config.heads, rng)):
        check(told)
        rows.append(design.restore(fit(design, data.training.reweighted(factor), c, start=main)))
        told.progress(i + 1, config.heads, "heads")
    return main, np.stack(rows)


def calibrated(scores: Array, choice: Choice, data: Dataset, seed: int) -> Calibration:
    """Temperature from the validation split, else from the held-out predictions of cross-validation."""
    part = data.validation
    if len(part.a):
        delta = scores[part.a] - scores[part.b]
        return calibrate(delta, part.p, part.weight, data.validation_groups, seed=seed)
    if len(choice.held_out):
        t = fit_temperature(choice.held_out, data.training.p, data.training.weight)
        source = {"on": "cross-validation", "pairs": len(data.groups), "groups": data.counts["groups"]}
        return Calibration(t, {}, source)
    return NOTHING
