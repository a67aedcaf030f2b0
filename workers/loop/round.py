"""One round of the loop, headless: import, label, snapshot, train, evaluate, gate, score, re-order, judge, export.

Every stage goes through the same services and job handlers as the pages and the workers do, in this process.
A stage that did no real work is reported as such, and then the round as a whole has failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from labeling.exporting.files import export_to_folder
from labeling.importing.options import ImportOptions
from labeling.importing.pages import problems_of
from labeling.importing.services import import_create, import_run
from labeling.importing.uploads import read_chunks, upload_store
from labeling.models import Comparison, Import, Preference, Project
from labeling.snapshots.reading import read_snapshot
from workers.loop.jobs import RoundError, run_job
from workers.loop.judges import local_judge_run
from workers.loop.meter import Meter, StageReport
from workers.loop.simulation import simulate_labels
from workers.models import Evaluation, ModelKind, RunStage, TrainingRun
from workers.pairs import rows_to_pairs
from workers.reward.config import config_from_dict
from workers.reward.crossval import MIN_GROUPS, cross_validate
from workers.services.training import training_start

# The file's own split: with a test file nothing of the training file is held out for testing.
FRACTIONS = {"train": 0.7, "validation": 0.1, "test": 0.2}
FRACTIONS_WITH_TEST_FILE = {"train": 0.9, "validation": 0.1, "test": 0.0}
JUDGE_SAMPLE = 60
# Up to so many groups, one held-out split is a matter of luck: the starter is also cross-validated over all of them.
FEW_GROUPS = 50
FOLDS = 6


@dataclass(frozen=True)
class RoundOptions:
    """What `close_loop` was asked for. `kind` is starter or transformer; `config` goes to the reward library."""

    data: Path
    test: Path | None = None
    group_key: str = ""
    kind: str = ModelKind.STARTER
    config: dict[str, Any] = field(default_factory=dict)
    simulate: bool = False
    seed: int = 0
    judge_sample: int = JUDGE_SAMPLE


@dataclass
class RoundResult:
    project: str
    stages: list[StageReport]
    # Held-out figures: every group in turn where there are few of them, else those of the test split.
    evaluation: dict[str, Any]
    test_split: dict[str, Any]
    gate: dict[str, Any]
    peak_mb: float
    seconds: float

    @property
    def worked(self) -> bool:
        return bool(self.stages) and all(stage.worked for stage in self.stages)

    def as_json(self) -> dict[str, Any]:
        return {
            "project": self.project,
            "worked": self.worked,
            "seconds": round(self.seconds, 2),
            "peak_mb": round(self.peak_mb, 1),
            "evaluation": self.evaluation,
            "test_split": self.test_split,
            "gate": self.gate,
            "stages": [stage.as_json() for stage in self.stages],
        }


Say = Callable[[str], None]


def close_loop(project: Project, options: RoundOptions, *, say: Say = lambda _line: None) -> RoundResult:
    """Go once round. Raises RoundError where a stage cannot be begun (a bad file, a failed job)."""
    start = time.monotonic()
    with Meter() as meter:
        if options.test is not None:
            with meter.stage("import test") as report:
                _import(project, options.test, options, report, split="test")
        with meter.stage("import") as report:
            _import(project, options.data, options, report)
        if options.simulate:
            with meter.stage("label") as report:
                report.counts = simulate_labels(project, seed=options.seed)
                report.worked = report.counts["labels"] > 0
        run = _train(project, options, meter, say)
        cross_validated = _cross_validate(run, meter, say)
        with meter.stage("judge") as report:
            _judge(project, run, options, report)
        with meter.stage("export") as report:
            _export(project, run, report)
        test_split, gate = _test_split(run), _gate(run)
        # A test file is what was asked to be held out; without one, few groups speak together.
        evaluation = test_split if options.test or not cross_validated else cross_validated
        peak = meter.peak_mb()
    return RoundResult(
        project.slug, meter.reports, evaluation, test_split, gate, peak, time.monotonic() - start
    )


def _import(
    project: Project, path: Path, options: RoundOptions, report: StageReport, *, split: str = ""
) -> None:
    with path.open("rb") as handle:
        stored = upload_store(read_chunks(handle))
    choices = ImportOptions(group_key=options.group_key, split=split)
    row = import_create(project=project, file_name=path.name, stored=stored, options=choices, enqueue=False)
    counts = import_run(row)
    if counts is None:
        raise RoundError(_refusal(path, row))
    report.counts = {
        "layout": row.layout,
        "rows": row.row_count,
        "comparisons": Comparison.objects.filter(project=project).count(),
        "labels": Preference.objects.filter(project=project).count(),
    }
    report.worked = row.row_count > 0 and report.counts["comparisons"] > 0


def _refusal(path: Path, row: Import) -> str:
    lines = [
        f"line {group.where}, column {group.first.column}: {group.first.message}"
        for group in problems_of(row)[:20]
    ]
    return (
        f"{path.name} was refused, nothing of it was written ({row.problem_count} problems):\n"
        + "\n".join(lines)
    )


def _train(project: Project, options: RoundOptions, meter: Meter, say: Say) -> TrainingRun:
    """The training job; its own timings cut it into the stages of the table."""
    fractions = FRACTIONS_WITH_TEST_FILE if options.test else FRACTIONS
    run = training_start(
        project=project,
        kind=options.kind,
        config=options.config,
        snapshot_config={"group_key": "group", "fractions": fractions, "seed": options.seed},
    )
    say(f"training a {options.kind} reward model")
    start = time.monotonic()
    run_job(run.job_uid)
    run = TrainingRun.objects.select_related("snapshot", "reward_model").get(pk=run.pk)
    counts = _stage_counts(run)
    for stage in (s for s in RunStage.values if s != RunStage.DONE):
        seconds = run.timings.get(stage, 0.0)
        names = {RunStage.SCORE: "score and re-order"}
        report = meter.add_timed(names.get(RunStage(stage), stage), start, seconds, **counts[stage])
        report.worked = stage in run.timings and all(v not in (0, None) for v in counts[stage].values())
        start += seconds
    return run


def _cross_validate(run: TrainingRun, meter: Meter, say: Say) -> dict[str, Any]:
    """Accuracy of the starter on every group while it was held out; rows of a test file take no part."""
    assert run.snapshot is not None
    splits = None if "test" in _own_splits(run) else ("train", "validation")
    groups = len({row.group for row in read_snapshot(run.snapshot, splits=splits, columns=["group"])})
    if run.kind != ModelKind.STARTER or groups > FEW_GROUPS:
        return {}  # told by one column: a large snapshot's texts are not read for nothing
    pairs = [pair for pair in rows_to_pairs(read_snapshot(run.snapshot, splits=splits)) if not pair.is_tie]
    groups = len({pair.group_key for pair in pairs})
    if groups < MIN_GROUPS:
        return {}
    say(f"cross-validating over {groups} groups")
    with meter.stage("cross-validate") as report:
        found = cross_validate(run.kind, pairs, config_from_dict(run.kind, run.config), folds=FOLDS)
        report.counts = {"pairs": found.n, "groups": groups}
        report.worked = found.n > 0
    return {
        "kind": run.kind,
        "method": "each group held out in turn",
        "groups": groups,
        "n": found.n,
        "accuracy": found.accuracy.value,
        "low": found.accuracy.low,
        "high": found.accuracy.high,
        "random": found.random.as_dict(),
        "longest": found.longest.as_dict(),
    }


def _own_splits(run: TrainingRun) -> set[str]:
    """Splits that the data file itself fills."""
    return {split for split, share in run.snapshot_config["fractions"].items() if share > 0}


def _stage_counts(run: TrainingRun) -> dict[str, dict[str, Any]]:
    evaluation = Evaluation.objects.filter(reward_model=run.reward_model, snapshot=run.snapshot).first()
    splits = run.counts.get("splits", {})
    decided = run.gate_decisions.count()
    return {
        RunStage.SNAPSHOT: {"rows": run.counts.get("rows", 0)},
        RunStage.TRAIN: {"pairs": splits.get("train", 0)},
        RunStage.EVALUATE: {"pairs": evaluation.n if evaluation else 0},
        RunStage.GATE: {"decisions": decided},
        RunStage.SCORE: {"scores": run.counts.get("scored", 0)} | _reordered(run),
    }


def _reordered(run: TrainingRun) -> dict[str, int]:
    """How many open comparisons got a new priority; a file whose labels settle everything leaves none open."""
    is_open = Comparison.objects.filter(project=run.project, state="open").exists()
    return {"reordered": run.counts.get("reordered", 0)} if is_open else {}


def _judge(project: Project, run: TrainingRun, options: RoundOptions, report: StageReport) -> None:
    """A local judge on a sample of the held-out split."""
    assert run.snapshot is not None
    judge_run = local_judge_run(project, run.snapshot, limit=options.judge_sample, seed=options.seed)
    statuses = dict(judge_run.counts)
    report.counts = {
        "judge": str(judge_run.judge_version),
        "comparisons": judge_run.total,
        "verdicts": statuses,
    }
    report.worked = judge_run.total > 0 and statuses.get("ok", 0) > 0


def _export(project: Project, run: TrainingRun, report: StageReport) -> None:
    assert run.snapshot is not None
    folder = Path(settings.DATA_DIR) / "exports" / str(project.pk) / str(run.snapshot)
    rows = export_to_folder(run.snapshot, folder)
    report.counts = {"rows": rows, "folder": str(folder)}
    report.worked = rows > 0 and all(path.stat().st_size > 0 for path in folder.iterdir())


def _test_split(run: TrainingRun) -> dict[str, Any]:
    """Accuracy on the snapshot's test split with its interval, beside random and longest-wins."""
    row = Evaluation.objects.filter(reward_model=run.reward_model, snapshot=run.snapshot).first()
    if row is None:
        return {}
    return {
        "kind": run.kind,
        "method": "test split",
        "groups": _groups(run),
        "n": row.n,
        "accuracy": row.accuracy,
        "low": row.low,
        "high": row.high,
        "random": row.baselines.get("random", {}),
        "longest": row.baselines.get("longest", {}),
    }


def _groups(run: TrainingRun) -> int:
    """How many groups the test split holds."""
    assert run.snapshot is not None
    return len({row.group for row in read_snapshot(run.snapshot, splits=("test",), columns=["group"])})


def _gate(run: TrainingRun) -> dict[str, Any]:
    decision = run.gate_decisions.first()
    return {"promote": decision.promote, "reasons": decision.reasons} if decision else {}
