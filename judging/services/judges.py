"""Judges and their versions. A version is made once and never changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from judging.engines.base import EngineError, Sampling
from judging.models import Endpoint, EngineKind, Judge, JudgeVersion
from judging.prompts import LANGUAGES, TEMPLATE_VERSION
from judging.services.engines import model_folder, scorer_names
from judging.services.provenance import folder_revision, version_hash
from judging.services.voices import judge_voices_drop
from judging.verdict_formats import VerdictPatternError, compile_pattern
from labeling.models import Project
from webapp.audit.services import record
from webapp.users.models import User

MAX_RUBRIC_CHARS = 20_000
MAX_OUTPUT_TOKENS = 32_000


@dataclass(frozen=True)
class VersionSpec:
    """What a person chooses for a version; the rest follows from it."""

    engine: str
    endpoint: Endpoint | None = None
    model: str = ""
    rubric: str = ""
    language: str = "en"
    allow_tie: bool = True
    reasoned: bool = True
    temperature: float = 0.0
    max_tokens: int = 700
    pattern: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def judge_create(
    *, project: Project, name: str, spec: VersionSpec, created_by: User | None = None
) -> JudgeVersion:
    """A judge with its first version. Raises ValidationError."""
    name = name.strip()
    if not name or Judge.objects.filter(project=project, name=name).exists():
        raise ValidationError({"name": _("Give the judge a name that this project does not use yet.")})
    version = _version(project, spec)
    with transaction.atomic():
        judge = Judge.objects.create(project=project, name=name[:80], created_by=created_by)
        return _add(judge, version, created_by)


def judge_version_create(*, judge: Judge, spec: VersionSpec, created_by: User | None = None) -> JudgeVersion:
    """The judge's next version. The same settings as an earlier one give that one back, so that its verdicts
    are found again. Raises ValidationError.
    """
    version = _version(judge.project, spec)
    with transaction.atomic():
        return _add(Judge.objects.select_for_update().get(pk=judge.pk), version, created_by)


def _add(judge: Judge, version: JudgeVersion, created_by: User | None) -> JudgeVersion:
    """Inside a transaction that holds the judge's row."""
    same = judge.versions.filter(provenance_hash=version.provenance_hash).order_by("number").first()
    if same is not None:
        return same
    version.judge, version.created_by = judge, created_by
    version.number = (judge.versions.aggregate(top=Max("number"))["top"] or 0) + 1
    version.save(force_insert=True)
    record(action="judge.version", subject=str(version), actor=created_by, project_id=judge.project_id)
    return version


@transaction.atomic
def judge_delete(judge: Judge, *, actor: User | None = None) -> None:
    """Remove a judge with its versions, runs and verdicts."""
    record(action="judge.delete", subject=judge.name, actor=actor, project_id=judge.project_id)
    judge_voices_drop(judge)
    judge.delete()


def _version(project: Project, spec: VersionSpec) -> JudgeVersion:
    """An unsaved version, checked and hashed. May read a large model's files: not in a transaction."""
    version = _unhashed(project, spec)
    version.provenance_hash = version_hash(version)
    return version


def _unhashed(project: Project, spec: VersionSpec) -> JudgeVersion:
    _check_common(spec)
    base = JudgeVersion(
        engine=spec.engine,
        template="pair",
        template_version=TEMPLATE_VERSION,
        rubric=spec.rubric.strip(),
        language=spec.language,
        allow_tie=spec.allow_tie,
        facts=spec.facts,
    )
    if spec.engine == EngineKind.OPENAI:
        return _for_endpoint(base, project, spec)
    # A label's probability is read without generating, so nothing is sampled and no reason is given.
    base.reasoned, base.sampling = False, {}
    if spec.engine == EngineKind.LOCAL:
        return _for_folder(base, spec)
    if spec.model not in scorer_names():
        raise ValidationError({"model": _("There is no reward model to ask under this name.")})
    base.model, base.template, base.rubric = spec.model, "scores", ""
    return base


def _for_endpoint(base: JudgeVersion, project: Project, spec: VersionSpec) -> JudgeVersion:
    if spec.endpoint is None or spec.endpoint.project_id != project.pk:
        raise ValidationError({"endpoint": _("Choose one of this project's endpoints.")})
    sampling = Sampling(temperature=spec.temperature, max_tokens=spec.max_tokens)
    base.endpoint, base.base_url = spec.endpoint, spec.endpoint.base_url
    base.model = spec.model or spec.endpoint.model
    base.reasoned, base.sampling, base.pattern = spec.reasoned, sampling.to_json(), spec.pattern
    return base


def _for_folder(base: JudgeVersion, spec: VersionSpec) -> JudgeVersion:
    if not spec.model.strip():
        raise ValidationError({"model": _("Name a model folder.")})
    try:
        folder = model_folder(spec.model)
    except EngineError as error:
        raise ValidationError(
            {"model": _("This folder cannot be used: %(reason)s.") % {"reason": error}}
        ) from error
    base.model, base.revision = spec.model, folder_revision(folder)
    if (folder / "tiny_judge.json").is_file():
        base.template, base.rubric, base.allow_tie = "compact", "", True
    return base


def _check_common(spec: VersionSpec) -> None:
    problems: dict[str, str] = {}
    if spec.engine not in EngineKind.values:
        problems["engine"] = _("Choose an engine.")
    if spec.language not in LANGUAGES:
        problems["language"] = _("Choose a language.")
    if len(spec.rubric) > MAX_RUBRIC_CHARS:
        problems["rubric"] = _("At most %(most)d characters.") % {"most": MAX_RUBRIC_CHARS}
    if not 0.0 <= spec.temperature <= 2.0:
        problems["temperature"] = _("Between 0 and 2.")
    if not 1 <= spec.max_tokens <= MAX_OUTPUT_TOKENS:
        problems["max_tokens"] = _("Between 1 and %(most)d.") % {"most": MAX_OUTPUT_TOKENS}
    if spec.pattern:
        try:
            compile_pattern(spec.pattern)
        except VerdictPatternError as error:
            problems["pattern"] = _("This pattern cannot be used: %(reason)s.") % {"reason": error}
    if problems:
        raise ValidationError(problems)
