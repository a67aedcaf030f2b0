"""What judges think of comparisons, for the order of the queue: read verdicts alone, both orders averaged; and the
judges that a model's settings may name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from judging.engines.base import swap_average, vote_share
from judging.models import EngineKind, JudgeVersion, Verdict
from judging.parsing import READ_STATUSES
from judging.selectors.judges import speaking_versions
from labeling.models import Project

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


def judge_version_of(project_id: int, config: Mapping[str, Any]) -> JudgeVersion | None:
    """The version that `judge` (its uid) and `version` (its number; the newest without one) name; None where this
    project has none such."""
    try:
        uid = UUID(str(config.get("judge") or ""))
    except ValueError:
        return None
    versions = JudgeVersion.objects.filter(judge__uid=uid, judge__project_id=project_id)
    if number := config.get("version"):
        versions = versions.filter(number=number)
    return versions.select_related("judge").order_by("-number").first()


def judge_choices(project: Project) -> list[tuple[str, str]]:
    """The versions that a form offers: (value, name). One query."""
    return [(judge_choice(version), str(version)) for version in speaking_versions(project)]


def judge_choice(version: JudgeVersion) -> str:
    """How a form says a version; `judge_settings` turns it into settings."""
    return f"{version.judge.uid}/{version.number}"


def judge_settings(choice: str) -> dict[str, Any]:
    """The settings `judge` and `version` of what a form has checked."""
    uid, _sign, number = choice.partition("/")
    return {"judge": uid, "version": int(number)}
