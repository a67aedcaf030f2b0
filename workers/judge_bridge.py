"""The champion as a judge: what `settings.PAIR_SCORERS["reward-model"]` names (see
judging/engines/scorer.py)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from labeling.models import Comparison
from workers.models import ModelState, RewardModel
from workers.selectors.scores import PairOpinion, opinions


def pair_probabilities(comparison_ids: Sequence[int]) -> dict[int, PairOpinion | None]:
    """The champion's view of each comparison, by id; None where its project has no champion or a score is
    missing.

    `.p_a` is P(a ≻ b), `.std` its deviation over the heads. Two queries and two more for each project.
    """
    found: dict[int, PairOpinion | None] = dict.fromkeys(comparison_ids)
    triples: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    rows = Comparison.objects.filter(pk__in=list(comparison_ids))
    for pk, project_id, a, b in rows.values_list("pk", "project_id", "response_a_id", "response_b_id"):
        triples[project_id].append((pk, a, b))
    for champion in RewardModel.objects.filter(project_id__in=triples, state=ModelState.CHAMPION):
        found.update(opinions(champion, triples[champion.project_id]))
    return found


def champion_snapshot(project_id: int) -> int | None:
    """Number of the snapshot whose labels made the champion, or None without one."""
    champions = RewardModel.objects.filter(project_id=project_id, state=ModelState.CHAMPION)
    return champions.values_list("snapshot__number", flat=True).first()
