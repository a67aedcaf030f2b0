"""The five stages of a training run. Each takes (context, run), may be repeated, and leaves `run` up to
date."""

from __future__ import annotations

from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

from django.db.models import Max
from django.utils.translation import gettext_noop

from labeling.models import Project, Resolution, Snapshot
from labeling.services.snapshots import snapshot_build, snapshot_create
from labeling.snapshots import read_snapshot
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.messages import message
from webapp.webhooks.events import event_emit
from workers.code_version import code_version
from workers.errors import ChampionMoved
from workers.models import GateDecision, RewardModel, TrainingRun
from workers.pairs import rows_to_pairs
from workers.reward.api import train
from workers.reward.compare import compare, gate
from workers.reward.errors import CorruptModelError, ModelUnavailableError, UntrustedModelError
from workers.reward.folder import MODEL_CARD, manifest_hash, read_json
from workers.reward.scorers import Scorer, settings_from_dict
from workers.selectors.models import champion_of
from workers.services.callbacks import JobCallbacks, RunCallbacks
from workers.services.defaults import BASELINES, COMPARE_ALONE, gate_rules_for, snapshot_config_for
from workers.services.evaluating import measure, report_of, store_evaluation, store_if_fuller
from workers.services.folders import embeddings_folder, model_open, model_path, place_model
from workers.services.gate import gate_apply
from workers.services.held_out import held_out, seen_before, seen_by_champion
from workers.services.reorder import reorder_queue
from workers.services.scoring import score_project, scorer_open
from workers.services.verdicts import verdicts_for
from workers.services.voices import model_voices_publish
from workers.words import step_words

if TYPE_CHECKING:
    from webapp.jobs.context import JobContext

TRAINED = "model"
RECOMPARE_LIMIT = 3


def make_snapshot(context: JobContext, run: TrainingRun) -> None:
    """The run's snapshot: the one it was given, or a new one of everything labeled up to now."""
    if run.snapshot is None:
        settled = Resolution.objects.filter(project=run.project).count()
        config = snapshot_config_for(run.snapshot_config, settled=settled)
        with context.guarded():
            run.snapshot = snapshot_create(
                project=run.project, config=config, created_by=run.created_by, enqueue=False
            )
            run.save(update_fields=["snapshot"])
    run.snapshot = snapshot_build(
        run.snapshot,
        guard=context.guarded,
        progress=lambda done, total: context.progress(done, total, step_words("snapshot")),
    )
    run.counts = {**run.counts, "rows": run.snapshot.row_count, "splits": run.snapshot.split_counts}


def _snapshot(run: TrainingRun) -> Snapshot:
    if run.snapshot is None:
        raise PermanentJobError(message(gettext_noop("The snapshot of this run was deleted.")))
    return run.snapshot


def _model(run: TrainingRun) -> RewardModel:
    if run.reward_model is None:
        raise PermanentJobError(message(gettext_noop("The reward model of this run was deleted.")))
    return run.reward_model


def train_model(context: JobContext, run: TrainingRun) -> None:
    """Train into the job's folder, number the version, move it to its place."""
    trained = context.checkpoint_dir / TRAINED
    if run.reward_model is None:
        if not (trained / "manifest.json").is_file():
            _train_into(context, run, trained)
        _register(context, run, trained)
    try:
        place_model(trained, _model(run).path)
    except FileNotFoundError as error:
        raise PermanentJobError(
            message(gettext_noop("The trained files are gone: %(detail)s"), detail=error)
        ) from error


def _train_into(context: JobContext, run: TrainingRun, trained: Path) -> None:
    config = settings_from_dict(run.kind, run.config)
    work = context.checkpoint_dir / "work"
    _adopt_work(context, work)
    callbacks = RunCallbacks(context, run)
    rows = read_snapshot(_snapshot(run), splits=("train", "validation"))
    try:
        train(
            run.kind,
            rows_to_pairs(rows),
            config,
            trained,
            callbacks=callbacks,
            work_dir=work,
            cache_dir=embeddings_folder(run.project_id),
            verdicts=verdicts_for(run.kind, run.project_id, run.config),
        )
    finally:
        if not context.interruptions.lost.is_set():
            callbacks.flush()


def _adopt_work(context: JobContext, work: Path) -> None:
    """A retry goes on from the checkpoints of the job that it repeats."""
    before = context.job.retry_of
    if before is not None and not work.exists():
        old = context.checkpoint_dir.parent / str(before.uid) / "work"
        if old.is_dir():
            old.rename(work)


def _register(context: JobContext, run: TrainingRun, trained: Path) -> None:
    """Give the trained folder its version number; the run remembers it in the same transaction."""
    card = read_json(trained / MODEL_CARD)
    with context.guarded():
        Project.objects.select_for_update().get(pk=run.project_id)
        newest = (
            RewardModel.objects.filter(project=run.project).aggregate(newest=Max("number"))["newest"] or 0
        )
        run.reward_model = RewardModel.objects.create(
            project=run.project,
            number=newest + 1,
            kind=run.kind,
            path=model_path(run.project_id, newest + 1),
            manifest_hash=manifest_hash(trained),
            snapshot=_snapshot(run),
            parent=champion_of(run.project),
            config=run.config,
            seed=run.config.get("seed", 0),
            code_version=code_version(),
            template_hash=card["template_hash"],
            temperature=card["temperature"],
            metrics=card.get("metrics", {}),
        )
        read = {name: card[name] for name in ("layout", "padded_because") if card.get(name)}
        run.counts = {**run.counts, **card.get("counts", {}), **read}
        run.save(update_fields=["reward_model", "counts"])
        data = {"model": run.reward_model.number, "kind": run.kind, "snapshot": _snapshot(run).number}
        event_emit(project_id=run.project_id, kind="model.trained", data=data)


def evaluate_model(context: JobContext, run: TrainingRun) -> None:
    """Figures on the held-out split beside random and longest-wins."""
    model, snapshot = _model(run), _snapshot(run)
    seen, remarks = seen_before(snapshot, model)
    for remark in remarks:
        context.log(f"{remark['code']}: {remark['detail']}")
    context.progress(0, 1, step_words("evaluate"))
    measured = measure(context, model_open(model), snapshot, without=seen)
    report = report_of(measured, snapshot, without=seen)
    with context.guarded():
        store_evaluation(model, snapshot, report, measured)


def gate_model(context: JobContext, run: TrainingRun) -> None:
    """Hold the candidate against the champion on pairs that neither was trained on, and let the gate
    decide."""
    candidate = _model(run)
    scorer = model_open(candidate)
    for _try in range(RECOMPARE_LIMIT):
        try:
            _decide(context, run, candidate, scorer)
            return
        except ChampionMoved:
            context.log("the champion changed meanwhile; comparing again")
    raise ChampionMoved


def _decide(context: JobContext, run: TrainingRun, candidate: RewardModel, scorer: Scorer) -> GateDecision:
    snapshot, champion = _snapshot(run), champion_of(run.project)
    if champion is not None and champion.pk == candidate.pk:
        champion = None  # decided before a kill, or crowned by hand meanwhile: gate_apply tells them apart
    opponent, notes = _open_champion(context, champion)
    seen, remarks = seen_before(snapshot, candidate)
    notes += remarks
    if champion is not None and opponent is not None:
        more, said = seen_by_champion(snapshot, champion)
        seen, notes = seen | more, notes + said
    ours = measure(context, scorer, snapshot, without=seen)
    theirs = None if opponent is None else measure(context, opponent, snapshot, without=seen)
    has_verdict = ours.scores.has_verdict
    comparison = compare(
        ours.scores.only(has_verdict),
        theirs.scores.only(has_verdict) if theirs else None,
        compress(held_out(snapshot, without=seen), has_verdict),
    )
    rules = gate_rules_for(run.gate_rules, has_champion=theirs is not None, kind=run.kind)
    result, barred = gate(comparison, rules), _barred(run.kind)
    reasons = [{"code": r.code, "passed": r.passed, "slice": r.slice, **r.numbers} for r in result.reasons]
    if not has_verdict.all():
        notes.append({"code": "no_verdict", "passed": True, "n": int((~has_verdict).sum())})
    standing = comparison.champion
    if theirs is not None and not has_verdict.all():
        standing = report_of(theirs, snapshot, without=seen)  # of all that the champion was asked
    with context.guarded():
        if standing is not None and champion is not None and theirs is not None:
            store_if_fuller(champion, snapshot, standing, theirs)
        return gate_apply(
            run=run,
            candidate=candidate,
            champion=champion,
            promote=result.promote and not barred,
            reasons=reasons + notes + barred,
        )


def _barred(kind: str) -> list[dict[str, object]]:
    """Why the gate promotes no model of this kind, whatever its figures."""
    codes = {"baseline": BASELINES, "compares_alone": COMPARE_ALONE}
    return [{"code": code, "passed": False} for code, kinds in codes.items() if kind in kinds]


def _open_champion(
    context: JobContext, champion: RewardModel | None
) -> tuple[Scorer | None, list[dict[str, object]]]:
    """The champion to score with, or None and a note where it cannot be opened."""
    if champion is None:
        return None, []
    try:
        return model_open(champion), []
    except (CorruptModelError, UntrustedModelError, ModelUnavailableError) as error:
        context.log(f"the champion cannot be opened: {error}")
        return None, [{"code": "champion_unreadable", "passed": True}]


def score_and_reorder(context: JobContext, run: TrainingRun) -> None:
    """Score every response with whoever is champion now, and give the queue its new order."""
    counts = score_with_champion(context, run.project)
    run.counts = {**run.counts, **counts}


def score_with_champion(context: JobContext, project: Project) -> dict[str, int]:
    """Counts: `scored`, `truncated` and `reordered`; all zero in a project without champion."""
    champion = champion_of(project)
    if champion is None:
        return {"scored": 0, "truncated": 0, "reordered": 0}
    scorer = scorer_open(champion, log=context.log)

    def told(done: int, total: int, step: str) -> None:
        context.progress(done, total, step_words(step))

    done = score_project(
        champion, scorer, guard=context.guarded, progress=told, callbacks=JobCallbacks(context)
    )
    reordered = reorder_queue(champion, guard=context.guarded, progress=told)
    model_voices_publish(champion, guard=context.guarded)
    return {"scored": done.scored, "truncated": done.truncated, "reordered": reordered}
