"""Starting training runs, and keeping their rows in step with their jobs. The work itself is in
pipeline.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from labeling.models import Project, Resolution, Snapshot
from labeling.scheme import read_scheme
from labeling.snapshots.config import SnapshotConfigError, read_config
from webapp.audit.services import record
from webapp.jobs.messages import cut, message
from webapp.jobs.models import Job, JobState
from webapp.jobs.services import job_enqueue
from webapp.users.models import User
from workers.errors import BadTrainingConfig, NotEnoughLabels, TrainingBusy
from workers.models import ModelKind, RunState, RunTrigger, TrainingRun
from workers.reward.errors import ConfigError
from workers.reward.scorers import settings_from_dict, settings_to_dict
from workers.services.defaults import gate_rules_for
from workers.services.verdicts import judge_named

# Below this a split by group leaves nothing to test on.
MIN_SETTLED = 10
# `name` or `owner/name`, as the hubs write it; anything else is taken for a path.
HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
# Settings that may name a folder: a base, a scorer's model, its reference.
FOLDER_SETTINGS = ("base", "model", "reference")
_ENDED = {
    JobState.FAILED: RunState.FAILED,
    JobState.CANCELLED: RunState.CANCELLED,
    JobState.DONE: RunState.DONE,
}


def resolve_config(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """The complete settings as plain JSON. Raises BadTrainingConfig with the library's sentence, and for a file of
    verdicts: no setting reads a file of the server."""
    if config.get("verdicts"):
        raise BadTrainingConfig(
            _("verdicts: files are for the command line; name a judge of this project (judge, version)."),
            "verdicts",
        )
    try:
        return settings_to_dict(settings_from_dict(kind, config))
    except ConfigError as error:
        raise BadTrainingConfig(str(error), error.setting) from error


def check_base(project: Project, config: dict[str, Any]) -> None:
    """In production a local backbone, or model of a scorer, lies in an allowed folder or is this project's own.

    A path elsewhere would let a manager read another project's weights. Raises BadTrainingConfig.
    """
    roots = [Path(settings.DATA_DIR) / "models" / str(project.pk), *map(Path, settings.MODEL_DIRS)]
    for key in FOLDER_SETTINGS:
        name = str(config.get(key, ""))
        if settings.EMBEDDED or not name or (HUB_ID.fullmatch(name) and not Path(name).exists()):
            continue
        if not any(Path(name).resolve().is_relative_to(root.resolve()) for root in roots):
            raise BadTrainingConfig(
                _("%(setting)s: a local folder must lie in CHOSEN_MODEL_DIRS or be a model of this project.")
                % {"setting": key},
                key,
            )


def checked_config(project: Project, kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """The complete settings, with nothing in them that this project may not read. Raises BadTrainingConfig."""
    resolved = resolve_config(kind, config)
    check_base(project, resolved)
    if kind == ModelKind.GENERATIVE:
        version = judge_named(project, resolved)
        resolved |= {"judge": str(version.judge.uid), "version": version.number}
    return resolved


def check_aspects(project: Project, config: dict[str, Any]) -> None:
    """Every aspect to train on was given by somebody, whatever the label scheme asks for now. Raises BadTrainingConfig.

    The newest labels are looked at first; only an aspect that nobody gave has all of the project's read.
    """
    newest = project.preferences.order_by("-pk").values("pk")
    for name in config.get("aspects", ()):
        if "\x00" not in name and newest.filter(aspects__has_key=name).first():
            continue
        asked = ", ".join(aspect.key for aspect in read_scheme(project.scheme).aspects)
        known = (
            _("Labelers are asked for: %(asked)s.") % {"asked": asked}
            if asked
            else _("Labelers of this project are asked for none.")
        )
        said = _("aspects: nobody has compared responses by “%(name)s” yet.") % {
            "name": name.replace("\x00", "")
        }
        raise BadTrainingConfig(f"{said} {known}", "aspects")


def check_snapshot_config(config: dict[str, Any]) -> None:
    """Raises BadTrainingConfig."""
    try:
        read_config(config)
    except SnapshotConfigError as error:
        raise BadTrainingConfig(" ".join(error.messages)) from error


def check_gate_rules(rules: dict[str, Any]) -> None:
    """Raises BadTrainingConfig."""
    try:
        gate_rules_for(rules, has_champion=True)
    except (ConfigError, TypeError) as error:
        raise BadTrainingConfig(str(error)) from error


def training_start(
    *,
    project: Project,
    kind: str = ModelKind.STARTER,
    config: dict[str, Any] | None = None,
    snapshot_config: dict[str, Any] | None = None,
    gate_rules: dict[str, Any] | None = None,
    snapshot: Snapshot | None = None,
    trigger: str = RunTrigger.MANUAL,
    created_by: User | None = None,
) -> TrainingRun:
    """Open a run and enqueue its job. One run at a time: the database refuses a second.

    With `snapshot` the run reads that one; otherwise it makes one by `snapshot_config`. Empty settings mean
    the defaults. Raises TrainingBusy, NotEnoughLabels or BadTrainingConfig; then nothing was written.
    """
    resolved = checked_config(project, kind, config or {})
    check_aspects(project, resolved)
    check_snapshot_config(snapshot_config or {})
    check_gate_rules(gate_rules or {})
    settled = Resolution.objects.filter(project=project).count()
    if settled < MIN_SETTLED:
        raise NotEnoughLabels(settled, MIN_SETTLED)
    runs_settle(project_id=project.pk)
    run = TrainingRun(
        project=project,
        kind=kind,
        config=resolved,
        snapshot_config=snapshot_config or {},
        gate_rules=gate_rules or {},
        snapshot=snapshot,
        trigger=trigger,
        created_by=created_by,
    )
    try:
        with transaction.atomic():
            return _open_run(run)
    except IntegrityError:
        active = TrainingRun.objects.filter(project=project, state=RunState.ACTIVE).first()
        if active is None:
            raise
        raise TrainingBusy(active) from None


def _open_run(run: TrainingRun) -> TrainingRun:
    """Save the run, its job and the audit event inside the caller's transaction."""
    run.save(force_insert=True)
    job = job_enqueue(
        kind="reward.train",
        params={"run_id": run.pk},
        project_id=run.project_id,
        title=message(gettext_noop("Train a reward model: %(project)s"), project=run.project.name),
        created_by=run.created_by,
    )
    run.job_uid = job.uid
    run.save(update_fields=["job_uid"])
    record(
        action="training.start",
        subject=str(run),
        actor=run.created_by,
        project_id=run.project_id,
        kind=str(run.kind),
        trigger=str(run.trigger),
    )
    return run


def job_ended(job: Job) -> None:
    """Hook of the job table: a training job failed or was cancelled, so its run gives up the project's
    place."""
    _settle(TrainingRun.objects.filter(job_uid=job.uid, state=RunState.ACTIVE), job)


def runs_settle(*, project_id: int | None = None) -> int:
    """Close runs whose job ended or vanished without saying so (a hook that failed). Returns how many."""
    active = TrainingRun.objects.filter(state=RunState.ACTIVE, job_uid__isnull=False)
    if project_id is not None:
        active = active.filter(project_id=project_id)
    uids = [uid for uid in active.values_list("job_uid", flat=True) if uid is not None]
    jobs = {job.uid: job for job in Job.objects.filter(uid__in=uids)}
    closed = 0
    for uid in uids:
        job = jobs.get(uid)
        if job is None or job.state in _ENDED:
            closed += _settle(TrainingRun.objects.filter(job_uid=uid, state=RunState.ACTIVE), job)
    return closed


def _settle(rows: Any, job: Job | None) -> int:
    """One conditional update, so that whoever comes second changes nothing."""
    state = _ENDED.get(JobState(job.state), RunState.FAILED) if job else RunState.FAILED
    error = job.error if job else message(gettext_noop("The job of this run is gone."))
    return int(rows.update(state=state, error=cut(error, 4000), finished_at=timezone.now()))
