"""How good a model is on labeled pairs, beside two baselines that know nothing.

Definitions: accuracy leaves out ties among people (``p_chosen`` = 0.5; they are counted) and gives one half
for equal scores. Log-loss and Brier include ties, against ``p_chosen``. Intervals are 95 % percentile
intervals of a bootstrap over prompts (or groups); model and baselines share their resamples. Only scalars are
kept.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .annotators import AnnotatorFigure, Votes
from .bootstrap import EMPTY, Interval, Resampler, Rows, interval
from .errors import DataError
from .metrics import Bin, brier, calibration_error, correlation, credit, log_loss, reliability
from .rewardbench import SUBSETS, RewardBenchScore, SubsetScore, first_version
from .types import Pair

Array = NDArray[np.float64]
Cluster = Literal["prompt", "group"]
NAMES_SUBSET = ("subset", "topic")  # slices that may name a subset of RewardBench


@dataclass(frozen=True, slots=True)
class SliceFigure:
    """Accuracy over the pairs with ``slices[key] == value``; ``n`` counts those that are no tie."""

    key: str
    value: str
    n: int
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything to report of one model on one set of pairs. None where there is nothing to compute from.

    ``n`` pairs decide accuracy; ``ties`` and ``equal_scores`` are counted apart. ``length_correlation`` is
    ``correlation`` of score difference and length difference (characters), whichever side is called chosen.
    ``between_annotators`` is the agreement of two people on a pair, over ``n_between`` pairs with two votes or more,
    the level that ``annotators`` and accuracy are read against; all come from ``Pair.votes``. ``no_verdict`` pairs are
    in no figure: the scorer said nothing of them. ``rewardbench`` is version 1's sections and average, where the slice
    ``subset`` (or ``topic``) of every pair names one of its subsets.
    """

    n: int
    ties: int
    equal_scores: int
    clusters: int
    cluster_by: str
    resampled: str
    accuracy: Interval
    random: Interval
    longest: Interval
    mean_margin: float | None
    log_loss: float | None
    brier: float | None
    ece: float | None
    length_correlation: float | None
    temperature: float
    bins: list[Bin] = field(default_factory=list)
    slices: list[SliceFigure] = field(default_factory=list)
    between_annotators: Interval = EMPTY
    n_between: int = 0
    annotators: list[AnnotatorFigure] = field(default_factory=list)
    no_verdict: int = 0
    rewardbench: RewardBenchScore | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, nested."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Held:
    """Pairs turned into arrays once, without their texts: ``p`` (N,), ``decided`` (N,), length difference (N,),
    the random baseline (N,), resampler, the rows of each slice, and annotators' votes."""

    p: Array
    decided: NDArray[np.bool_]
    length: Array
    random: Array
    clusters: int
    cluster_by: Cluster
    resampler: Resampler
    slices: dict[tuple[str, str], Rows]
    votes: Votes

    def __len__(self) -> int:
        return len(self.p)

    def decided_slices(self) -> dict[tuple[str, str], Rows]:
        """The rows of each slice that are no tie."""
        return {part: rows[self.decided[rows]] for part, rows in self.slices.items()}


def hold(
    pairs: Iterable[Pair], *, cluster_by: Cluster = "prompt", resamples: int = 2000, seed: int = 0
) -> Held:
    """Prepare pairs for evaluation and comparison. They are read once, and their texts are not kept.

    The random baseline is a difference of +1 or -1 by a hash of seed and pair, stable.
    """
    names: list[str] = []
    p, length, random = array("d"), array("d"), array("d")
    slices: dict[tuple[str, str], array[int]] = {}
    votes = Votes()
    for row, pair in enumerate(pairs):
        names.append(pair.prompt_key if cluster_by == "prompt" else pair.group_key)
        p.append(pair.p_chosen)
        length.append(len(pair.chosen) - len(pair.rejected))
        drawn = hashlib.sha256(f"{seed}:{pair.pair_id}".encode("utf-8", "replace")).digest()[0]
        random.append(1.0 if drawn & 1 else -1.0)
        for part in pair.slices.items():
            slices.setdefault(part, array("q")).append(row)
        votes.add(row, pair.votes)
    shares = np.array(p, dtype=np.float64)
    return Held(
        p=shares,
        decided=shares != 0.5,
        length=np.array(length, dtype=np.float64),
        random=np.array(random, dtype=np.float64),
        clusters=len(set(names)),
        cluster_by=cluster_by,
        resampler=Resampler(names, resamples=resamples, seed=seed),
        slices={part: np.array(rows, dtype=np.int64) for part, rows in sorted(slices.items())},
        votes=votes,
    )


def difference(scores_chosen: ArrayLike, scores_rejected: ArrayLike, n: int) -> Array:
    """``chosen - rejected`` in float64, (n,); refuses other shapes and values that are not finite."""
    chosen, rejected = np.asarray(scores_chosen, np.float64), np.asarray(scores_rejected, np.float64)
    if chosen.shape != (n,) or rejected.shape != (n,):
        raise DataError(f"scores must have shape ({n},), got {chosen.shape} and {rejected.shape}")
    if not (np.isfinite(chosen).all() and np.isfinite(rejected).all()):
        raise DataError("scores must be finite")
    return np.asarray(chosen - rejected)


def known(x: float) -> float | None:
    """None for NaN: JSON has no NaN."""
    return None if math.isnan(x) else x


def evaluate(
    scores_chosen: ArrayLike,
    scores_rejected: ArrayLike,
    pairs: Iterable[Pair],
    *,
    temperature: float = 1.0,
    cluster_by: Cluster = "prompt",
    resamples: int = 2000,
    seed: int = 0,
    bins: int = 10,
) -> Evaluation:
    """Evaluate scores (N,) and (N,) of N pairs. Raises ``DataError`` for other shapes or NaN."""
    held = hold(pairs, cluster_by=cluster_by, resamples=resamples, seed=seed)
    delta = difference(scores_chosen, scores_rejected, len(held))
    return evaluate_held(delta, held, temperature=temperature, bins=bins)


def evaluate_held(delta: Array, held: Held, *, temperature: float = 1.0, bins: int = 10) -> Evaluation:
    """``evaluate`` on prepared pairs."""
    columns = np.column_stack([credit(d, held.p) for d in (delta, held.random, held.length)])  # (N, 3)
    n = int(held.decided.sum())
    model, chance, longest = held.resampler.intervals(columns, held.decided) if n else (EMPTY,) * 3
    side = np.where(held.p < 0.5, -1.0, 1.0)
    decided = delta[held.decided] * side[held.decided]
    between, n_between, annotators = held.votes.figures(delta, held.resampler)
    table = reliability(delta[held.decided], held.p[held.decided], temperature, bins)
    return Evaluation(
        n=n,
        ties=len(delta) - n,
        equal_scores=int((delta[held.decided] == 0).sum()),
        clusters=held.clusters,
        cluster_by=held.cluster_by,
        resampled=held.resampler.unit,
        accuracy=model,
        random=chance,
        longest=longest,
        mean_margin=float(decided.mean()) if n else None,
        log_loss=known(log_loss(delta, held.p, temperature)),
        brier=known(brier(delta, held.p, temperature)),
        ece=known(calibration_error(table)),
        length_correlation=known(correlation(delta, held.length)),
        temperature=temperature,
        bins=table,
        slices=_slices(columns[:, 0], held),
        between_annotators=between,
        n_between=n_between,
        annotators=annotators,
        rewardbench=_rewardbench(delta, columns[:, 0], held),
    )


def _rewardbench(delta: Array, right: Array, held: Held) -> RewardBenchScore | None:
    """None where a pair stands in no subset of RewardBench's, or is a tie among people, which it does not have."""
    for key in NAMES_SUBSET:
        parts = {
            value: rows for (name, value), rows in held.slices.items() if name == key and value in SUBSETS
        }
        if parts and sum(map(len, parts.values())) == len(held) and held.decided.all():
            return first_version(
                [
                    SubsetScore(name, len(rows), float(right[rows].mean()), int((delta[rows] == 0).sum()))
                    for name, rows in parts.items()
                ]
            )
    return None


def _slices(right: Array, held: Held) -> list[SliceFigure]:
    parts = held.decided_slices()
    found = held.resampler.means_over(right, list(parts.values()))
    return [
        SliceFigure(key, value, len(rows), interval(point, drawn))
        for ((key, value), rows), (point, drawn) in zip(parts.items(), found, strict=True)
    ]
