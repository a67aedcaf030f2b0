"""What judges think of comparisons, for the order of the queue: read verdicts alone, both orders averaged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from judging.engines.base import swap_average, vote_share
from judging.models import EngineKind, Verdict
from judging.parsing import READ_STATUSES

_WINS = {"a": 1.0, "tie": 0.5, "b": 0.0}
Answer = tuple[float | None, str]  # (P(a better) or None, outcome)


def judge_probability(answers: list[Answer]) -> float:
    """P(a ≻ b) of one judge from its read verdicts, one for each order.

    With label probabilities they are averaged over the orders as logits; without them the verdicts are
    counted.
    """
    stated = [p for p, _outcome in answers if p is not None]
    if len(stated) == len(answers):
        return swap_average(stated[0], stated[-1])
    return vote_share(sum(_WINS[outcome] for _p, outcome in answers), len(answers))


def judge_probabilities(comparison_ids: Iterable[int]) -> dict[int, float]:
    """Mean P(a ≻ b) over judges, by comparison, for those that any judge has read. One query.

    Reward models shown as judges are left out: a model does not contradict itself. Only a judge's newest
    version with a verdict on the comparison counts.
    """
    verdicts = Verdict.objects.filter(comparison_id__in=list(comparison_ids), status__in=READ_STATUSES)
    rows = (
        verdicts.exclude(judge_version__engine=EngineKind.SCORER)
        .order_by("comparison_id", "judge_version__judge_id", "judge_version__number", "order")
        .values_list("comparison_id", "judge_version__judge_id", "judge_version__number", "p_a", "outcome")
    )
    newest: dict[tuple[int, int], tuple[int, list[Answer]]] = {}
    for comparison, judge, number, p_a, outcome in rows:
        if newest.get((comparison, judge), (None, []))[0] != number:
            newest[comparison, judge] = (number, [])
        newest[comparison, judge][1].append((p_a, outcome))
    by_comparison: dict[int, list[float]] = defaultdict(list)
    for (comparison, _judge), (_number, answers) in newest.items():
        by_comparison[comparison].append(judge_probability(answers))
    return {pk: sum(values) / len(values) for pk, values in by_comparison.items()}
