"""Training a small local judge from a snapshot's labels, as a job. Imported by the task alone, for torch."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_noop

from judging import statistics as stats
from judging.engines.base import JudgeRequest, probability_first, swap_average
from judging.engines.local import LocalEngine
from judging.engines.tiny_judge import TrainingRow, TrainReport, train_tiny_judge
from judging.models import EngineKind, Judge, JudgeVersion
from judging.prompts import LABEL_A, LABEL_B, LABEL_TIE, build_pair_prompt
from judging.services.engines import judges_dir
from judging.services.judges import VersionSpec, judge_create, judge_version_create
from labeling.models import Project, Snapshot
from labeling.snapshots.reading import read_snapshot
from labeling.snapshots.rows import SnapshotRow
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.messages import message
from webapp.users.models import User

if TYPE_CHECKING:
    from webapp.jobs.context import JobContext

MAX_TRAIN_PAIRS = 20_000
MAX_TEST_PAIRS = 500
MIN_TRAIN_PAIRS = 20
_COLUMNS = [
    "comparison_id", "prompt_id", "messages", "response_a", "response_b", "outcome", "split",
    "votes_a", "votes_b", "votes_tie", "votes_both_bad", "p_a", "settled_by",
]  # fmt: skip


def training_execute(context: JobContext) -> dict[str, Any]:
    """Train on the train split, choose by the validation split, measure on the test split, make a version.

    Idempotent: the folder is the job's own and is made anew by each attempt; the version is found again by
    its provenance.
    """
    project = Project.objects.filter(pk=context.job.project_id or 0).first()
    snapshot = Snapshot.objects.filter(project=project, number=context.params["snapshot"]).first()
    if project is None or snapshot is None:
        raise PermanentJobError(message(gettext_noop("The project or its snapshot has been deleted.")))
    rows = {split: _rows(snapshot, split) for split in ("train", "validation", "test")}
    _check_enough(rows)
    folder = judges_dir() / str(project.pk) / str(context.job.uid)
    shutil.rmtree(folder, ignore_errors=True)

    def progress(done: int, total: int, figures: str) -> None:
        words = message(gettext_noop("trust and validation loss: %(figures)s"), figures=figures)
        context.progress(done, total + 1, words)

    most = min(context.params.get("max_pairs") or MAX_TRAIN_PAIRS, MAX_TRAIN_PAIRS)
    report = train_tiny_judge(
        _both_orders(_spread(rows["train"], most)),
        _both_orders(rows["validation"]),
        folder,
        progress=progress,
    )
    context.metric(**asdict(report))
    facts = _facts(snapshot, rows, report, _held_out(folder, rows["test"][:MAX_TEST_PAIRS]))
    version = _make_version(context, project, folder, facts)
    context.progress(1, 1)
    return {"judge": str(version.judge.uid), "version": version.number, "facts": facts}


def _rows(snapshot: Snapshot, split: str) -> list[SnapshotRow]:
    return list(read_snapshot(snapshot, splits=[split], columns=_COLUMNS))


def _check_enough(rows: dict[str, list[SnapshotRow]]) -> None:
    if len(rows["train"]) < MIN_TRAIN_PAIRS or not rows["validation"]:
        raise PermanentJobError(
            message(
                gettext_noop(
                    "Not enough labels to train a judge: %(train)d pairs in the train split "
                    "(at least %(least)d), %(validation)d in the validation split (at least 1)."
                ),
                train=len(rows["train"]),
                validation=len(rows["validation"]),
                least=MIN_TRAIN_PAIRS,
            )
        )


def _spread(rows: Sequence[SnapshotRow], most: int) -> Sequence[SnapshotRow]:
    """At most `most` rows, evenly spread over all of them: a snapshot's rows stand by group."""
    step = max(1, -(-len(rows) // most))
    return rows[::step]


def _both_orders(rows: Sequence[SnapshotRow]) -> list[TrainingRow]:
    """Two training rows for each pair. Both bad is a tie; the weight is the row's agreement."""
    found: list[TrainingRow] = []
    for row in rows:
        for order in ("ab", "ba"):
            label = LABEL_TIE
            if row.outcome in ("a", "b"):
                label = LABEL_A if (row.outcome == "a") == (order == "ab") else LABEL_B
            found.append(
                TrainingRow(messages=_prompt(row, order), label=label, weight=row.agreement, order=order)
            )
    return found


def _prompt(row: SnapshotRow, order: str) -> Any:
    first, second = (row.response_a, row.response_b)[:: 1 if order == "ab" else -1]
    return build_pair_prompt(question=row.messages, first=first, second=second, template="compact").messages


def _held_out(folder: Path, rows: Sequence[SnapshotRow]) -> dict[str, Any]:
    """The saved judge against people on pairs it never saw, beside longest-wins on the same pairs."""
    if not rows:
        return {}
    engine = LocalEngine(folder, roots=[judges_dir()])
    labels = (LABEL_A, LABEL_B, LABEL_TIE)
    replies = engine.judge(
        [JudgeRequest(_prompt(row, order), labels) for row in rows for order in ("ab", "ba")]
    )
    engine.close()
    p_a = np.full(len(rows), np.nan)
    for index in range(len(rows)):
        ab, ba = (
            probability_first(reply.label_logprobs, tie=LABEL_TIE) if reply.label_logprobs else None
            for reply in replies[2 * index : 2 * index + 2]
        )
        if ab is not None and ba is not None:
            p_a[index] = swap_average(ab[0], 1.0 - ba[0])
    people = stats.encode([row.outcome for row in rows])
    clusters = np.array([row.prompt_id for row in rows])
    lengths = [np.array([len(text) for text in texts]) for texts in _texts(rows)]
    judge = stats.half_credit(people, stats.probable_outcome(p_a), clusters)
    longest = stats.half_credit(people, stats.longest_wins(*lengths), clusters)
    return {"agreement": asdict(judge), "longest_wins": asdict(longest)}


def _texts(rows: Sequence[SnapshotRow]) -> tuple[list[str], list[str]]:
    return [row.response_a for row in rows], [row.response_b for row in rows]


def _facts(
    snapshot: Snapshot, rows: dict[str, list[SnapshotRow]], report: TrainReport, held_out: dict[str, Any]
) -> dict[str, Any]:
    return {
        "trained": {
            "snapshot": snapshot.number,
            "train_pairs": min(len(rows["train"]), MAX_TRAIN_PAIRS),
            "validation_pairs": len(rows["validation"]),
            "test_pairs": min(len(rows["test"]), MAX_TEST_PAIRS),
            "parameters": report.parameters,
            "seconds": round(report.seconds, 1),
            "validation_accuracy": report.validation_accuracy,
            "held_out": held_out,
        }
    }


def _make_version(context: JobContext, project: Project, folder: Path, facts: dict[str, Any]) -> JudgeVersion:
    spec = VersionSpec(engine=EngineKind.LOCAL, model=str(folder.relative_to(judges_dir())), facts=facts)
    created_by: User | None = context.job.created_by
    name = str(context.params["name"])
    with context.guarded():
        judge = Judge.objects.filter(project=project, name=name).first()
        try:
            if judge is None:
                return judge_create(project=project, name=name, spec=spec, created_by=created_by)
            return judge_version_create(judge=judge, spec=spec, created_by=created_by)
        except ValidationError as error:
            raise PermanentJobError("; ".join(error.messages)) from error
