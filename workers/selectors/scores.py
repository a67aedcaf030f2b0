"""Reading scores: P(a ≻ b) of the champion for comparisons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from labeling.models import Comparison
from workers.models import RewardModel, Score
from workers.reward.predict import outcome_probabilities, pair_probability


@dataclass(frozen=True)
class PairOpinion:
    """A model's view of one comparison: P(a ≻ b), its deviation over the heads, both raw scores, and P(tie) of a
    model that learned ties."""

    p_a: float
    std: float
    score_a: float
    score_b: float
    is_truncated: bool
    p_tie: float | None = None


@dataclass(frozen=True)
class _Stored:
    value: float
    heads: np.ndarray
    is_truncated: bool


def _stored(model: RewardModel, response_ids: Iterable[int]) -> dict[int, _Stored]:
    rows = Score.objects.filter(reward_model=model, response_id__in=list(response_ids)).values_list(
        "response_id", "value", "heads", "is_truncated"
    )
    return {pk: _Stored(value, np.frombuffer(bytes(heads), "<f4"), cut) for pk, value, heads, cut in rows}


def opinions(model: RewardModel, pairs: Iterable[tuple[int, int, int]]) -> dict[int, PairOpinion]:
    """Views of (comparison id, response a, response b) triples; those without both scores are left out.

    One query; at most some thousands of pairs at a time, since their ids go into it.
    """
    triples = list(pairs)
    scores = _stored(model, {pk for _id, a, b in triples for pk in (a, b)})
    known = [(pk, scores[a], scores[b]) for pk, a, b in triples if a in scores and b in scores]
    if not known:
        return {}
    heads_a = np.stack([a.heads for _pk, a, _b in known])  # (N, K)
    heads_b = np.stack([b.heads for _pk, _a, b in known])
    mean, std = pair_probability(heads_a, heads_b, model.temperature)
    ties = _ties(model, heads_a, heads_b)
    return {
        pk: PairOpinion(
            float(mean[i]), float(std[i]), a.value, b.value, a.is_truncated or b.is_truncated, ties[i]
        )
        for i, (pk, a, b) in enumerate(known)
    }


def _ties(model: RewardModel, heads_a: np.ndarray, heads_b: np.ndarray) -> list[float | None]:
    """P(tie) of each pair (N,) by the model's own threshold and temperature; None where it learned none."""
    threshold = model.metrics.get("tie_threshold")
    if threshold is None:
        return [None] * len(heads_a)
    found = outcome_probabilities(heads_a, heads_b, model.metrics["tie_temperature"], threshold)
    return [float(p) for p in found[:, 1]]


def comparison_opinions(model: RewardModel, comparison_ids: Iterable[int]) -> dict[int, PairOpinion]:
    """Views of comparisons by id."""
    rows = Comparison.objects.filter(pk__in=list(comparison_ids), project_id=model.project_id)
    return opinions(model, rows.values_list("pk", "response_a_id", "response_b_id"))


HISTOGRAM_BINS = 24


def score_bins(model: RewardModel, *, bins: int = HISTOGRAM_BINS) -> list[tuple[float, int]]:
    """Distribution of the model's scores: (middle of the bin, count). Empty without scores. One query, one
    float a response."""
    values = np.fromiter(
        Score.objects.filter(reward_model=model).values_list("value", flat=True).iterator(), dtype=np.float64
    )
    if not values.size:
        return []
    counts, edges = np.histogram(values, bins=bins if np.ptp(values) else 1)
    middles = (edges[:-1] + edges[1:]) / 2
    return [(float(m), int(c)) for m, c in zip(middles, counts, strict=True)]
