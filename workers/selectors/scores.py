"""Reading scores: P(a ≻ b) of the champion for comparisons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from labeling.models import Comparison
from workers.models import RewardModel, Score
from workers.reward.predict import outcome_probabilities, pair_probability

# So close to one half that naming a side would say more than the model does.
TIE_BAND = 0.02


def lean(p: float) -> str:
    """Which side a probability names: a, b, or tie near one half."""
    if abs(p - 0.5) <= TIE_BAND:
        return "tie"
    return "a" if p > 0.5 else "b"


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


@dataclass(frozen=True)
class VersionOpinion:
    """What one version says of a comparison."""

    model: RewardModel
    p_a: float
    std: float
    score_a: float
    score_b: float

    @property
    def outcome(self) -> str:
        return lean(self.p_a)


def version_opinions(comparison: Comparison, most: int = 50) -> list[VersionOpinion]:
    """What each version that scored both responses says, newest first. One query."""
    pair = (comparison.response_a_id, comparison.response_b_id)
    scores = Score.objects.filter(response_id__in=pair, reward_model__project_id=comparison.project_id)
    found: dict[int, dict[int, Score]] = {}
    for row in scores.select_related("reward_model").order_by("-reward_model__number")[: 2 * most]:
        found.setdefault(row.reward_model_id, {})[row.response_id] = row
    return [_version_opinion(both[pair[0]], both[pair[1]]) for both in found.values() if len(both) == 2]


def _version_opinion(a: Score, b: Score) -> VersionOpinion:
    heads_a, heads_b = (np.frombuffer(bytes(row.heads), "<f4")[None] for row in (a, b))  # (1, K)
    mean, std = pair_probability(heads_a, heads_b, a.reward_model.temperature)
    return VersionOpinion(a.reward_model, float(mean[0]), float(std[0]), a.value, b.value)


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
