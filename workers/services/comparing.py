"""Two models on the same held-out pairs that neither was trained on: asked for here, done as a job, kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import transaction
from django.utils.translation import gettext_noop
from numpy.typing import NDArray

from labeling.models import Project, Snapshot
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.messages import message
from webapp.jobs.models import ACTIVE_STATES, Job
from webapp.jobs.services import job_enqueue
from webapp.users.models import User
from workers.models import HELD_OUT, EvaluationScores, ModelComparison, RewardModel
from workers.reward.compare import PairScores, compare
from workers.reward.metrics import credit
from workers.reward.predict import sigmoid
from workers.reward.types import Pair
from workers.services.evaluating import evaluate_on
from workers.services.held_out import held_out
from workers.words import step_words

if TYPE_CHECKING:
    from webapp.jobs.context import JobContext

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
# Pairs on which the two models differ most that are kept for the page.
DISAGREEMENTS = 20


def comparison_job(comparison: ModelComparison) -> Job | None:
    """The job of this comparison, whatever its state, or None."""
    return Job.objects.filter(uid=comparison.job_uid).first() if comparison.job_uid else None


def comparison_start(
    *, model_a: RewardModel, model_b: RewardModel, snapshot: Snapshot, created_by: User | None = None
) -> ModelComparison:
    """The comparison of two models of one project on a snapshot; its job is enqueued where it is neither done nor
    under way, in whichever order they were asked for."""
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=model_a.project_id)
        newer, older = sorted((model_a, model_b), key=lambda model: model.pk, reverse=True)
        row, _created = ModelComparison.objects.get_or_create(
            project_id=model_a.project_id, model_a=newer, model_b=older, snapshot=snapshot
        )
        job = comparison_job(row)
        if row.report or (job is not None and job.state in ACTIVE_STATES):
            return row
        job = job_enqueue(
            kind="reward.compare",
            params={"comparison_id": row.pk},
            project_id=model_a.project_id,
            title=message(
                gettext_noop("Compare %(model_a)s with %(model_b)s on %(snapshot)s"),
                model_a=str(model_a),
                model_b=str(model_b),
                snapshot=str(snapshot),
            ),
            created_by=created_by,
        )
        row.job_uid = job.uid
        row.save(update_fields=["job_uid"])
    return row


def run_comparison(context: JobContext) -> dict[str, Any]:
    """The job. Scores that an evaluation has left behind are used; what is missing is scored first."""
    row = (
        ModelComparison.objects.select_related("model_a__snapshot", "model_b__snapshot", "snapshot")
        .filter(pk=context.params["comparison_id"])
        .first()
    )
    if row is None:
        raise PermanentJobError(message(gettext_noop("The model or the snapshot of this job was deleted.")))
    first, second = (_scores(context, model, row.snapshot) for model in (row.model_a, row.model_b))
    context.progress(0, 1, step_words("compare"))
    report = comparison_report(row, first, second)
    with context.guarded():
        ModelComparison.objects.filter(pk=row.pk).update(report=report)
    return {"pairs": report["n"], "left_out": report["left_out"]}


def _scores(context: JobContext, model: RewardModel, snapshot: Snapshot) -> EvaluationScores:
    rows = EvaluationScores.objects.filter(
        evaluation__reward_model=model, evaluation__snapshot=snapshot, evaluation__split=HELD_OUT
    )
    return rows.first() or EvaluationScores.objects.get(evaluation=evaluate_on(context, model, snapshot))


def comparison_report(
    row: ModelComparison, first: EvaluationScores, second: EvaluationScores
) -> dict[str, Any]:
    """What the page shows, as plain JSON: figures of both models, their difference by paired bootstrap, overall and by
    slice, on how many pairs they agree, and the pairs on which they differ most.

    Only pairs that both were evaluated on count (each evaluation has left out what its model was trained on) and of
    which both have an opinion; `left_out` and `no_verdict` are the others.
    """
    ids, at_first, at_second = np.intersect1d(
        first.comparison_ids, second.comparison_ids, assume_unique=True, return_indices=True
    )
    evaluated = len(ids)
    has_verdict = np.isfinite(first.sides[at_first] + second.sides[at_second]).all(axis=1)
    ids, at_first, at_second = ids[has_verdict], at_first[has_verdict], at_second[has_verdict]
    a_first = first.chosen_is_a[at_first]
    sides = (first.sides[at_first], second.sides[at_second])  # (N, 2) each
    left_out = {
        "left_out": row.snapshot.split_counts.get(HELD_OUT, 0) - evaluated,
        "no_verdict": evaluated - len(ids),
    }
    if not len(ids):
        return {"n": 0, **left_out}
    pairs = _Shares(_only(held_out(row.snapshot), set(ids.tolist())))
    ours = _pair_scores(sides[0], a_first, row.model_a.temperature)
    theirs = _pair_scores(sides[1], a_first, row.model_b.temperature)
    found = compare(ours, theirs, pairs).as_dict()
    for evaluation in (found["candidate"], found["champion"]):
        evaluation.pop("annotators")  # names of people, which nobody asks a comparison for
    share = np.array(pairs.shares)
    return {
        "n": found["candidate"]["n"],
        "ties": found["candidate"]["ties"],
        **left_out,
        "a": found["candidate"],
        "b": found["champion"],
        "difference": found["difference"],
        "worse_share": found["worse_share"],
        "better_share": found["better_share"],
        "slices": [
            {("a" if k == "candidate" else "b" if k == "champion" else k): v for k, v in part.items()}
            for part in found["slices"]
        ],
        "counts": _counts((ours, theirs), share),
        "disagreements": _disagreements(ids, sides, (row.model_a, row.model_b), a_first, share),
    }


class _Shares:
    """Pairs that leave their `p_chosen` behind when they have been read."""

    def __init__(self, pairs: Iterator[Pair]) -> None:
        self.pairs = pairs
        self.shares: list[float] = []

    def __iter__(self) -> Iterator[Pair]:
        for pair in self.pairs:
            self.shares.append(pair.p_chosen)
            yield pair


def _only(pairs: Iterator[Pair], ids: set[int]) -> Iterator[Pair]:
    return (pair for pair in pairs if int(pair.pair_id) in ids)


def _pair_scores(sides: Floats, a_first: Bools, temperature: float) -> PairScores:
    chosen, rejected = np.where(a_first, sides.T, sides.T[::-1])
    return PairScores(chosen, rejected, temperature)


def _counts(scores: tuple[PairScores, PairScores], share: Floats) -> dict[str, int]:
    """Of the pairs that are no tie among people: how many each of the two gets right."""
    decided = share != 0.5
    first, second = (
        credit(np.asarray(s.chosen) - np.asarray(s.rejected), share)[decided] == 1.0 for s in scores
    )
    return {
        "both_right": int((first & second).sum()),
        "only_a": int((first & ~second).sum()),
        "only_b": int((~first & second).sum()),
        "both_wrong": int((~first & ~second).sum()),
    }


def _disagreements(
    ids: NDArray[np.int64],
    sides: tuple[Floats, Floats],
    models: tuple[RewardModel, RewardModel],
    a_first: Bools,
    share: Floats,
) -> list[dict[str, Any]]:
    """The pairs with different winners, the largest difference in P(a ≻ b) first: ids and figures, no texts."""
    p = [sigmoid((s[:, 0] - s[:, 1]) / m.temperature) for s, m in zip(sides, models, strict=True)]  # (N,)
    differ = np.sign(p[0] - 0.5) != np.sign(p[1] - 0.5)
    order = np.lexsort((ids, -np.abs(p[0] - p[1])))
    people = np.where(share == 0.5, "tie", np.where(a_first, "a", "b"))
    return [
        {
            "comparison": int(ids[i]),
            "p_a_first": float(p[0][i]),
            "p_a_second": float(p[1][i]),
            "people": str(people[i]),
        }
        for i in order[differ[order]][:DISAGREEMENTS]
    ]
