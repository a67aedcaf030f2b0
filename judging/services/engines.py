"""From a judge version to the engine that answers for it. Model engines are imported when they are built."""

from __future__ import annotations

import importlib
from pathlib import Path

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext_noop

from judging.engines.base import Engine, EngineError, Sampling
from judging.engines.dialect import dialect_from_json
from judging.engines.folders import checked_model_folder
from judging.engines.openai import OpenAIEngine
from judging.engines.scorer import ScorerEngine
from judging.models import EngineKind, JudgeVersion
from judging.services.endpoints import endpoint_secret
from judging.services.provenance import folder_revision
from webapp.jobs.messages import message
from webapp.sealing import SealError


def engine_for(version: JudgeVersion) -> Engine:
    """Raises EngineError when the version cannot be run: endpoint gone or moved, key lost, folder changed."""
    if version.engine == EngineKind.OPENAI:
        return _openai(version)
    if version.engine == EngineKind.LOCAL:
        return _local(version)
    return _scorer(version)


def judges_dir() -> Path:
    """Where judges that were trained here live."""
    path: Path = settings.DATA_DIR / "judges"
    return path


def model_roots() -> list[Path]:
    return [judges_dir(), *(Path(name) for name in settings.MODEL_DIRS)]


def model_folder(model: str) -> Path:
    """The folder that a version's `model` names: relative ones lie in the judges' folder.

    Raises EngineError for a folder that must not be loaded.
    """
    return checked_model_folder(judges_dir() / model, model_roots())


def scorer_names() -> list[str]:
    return list(settings.PAIR_SCORERS)


def _openai(version: JudgeVersion) -> Engine:
    endpoint = version.endpoint
    if endpoint is None:
        raise EngineError(message(gettext_noop("the endpoint of this version has been removed")))
    if endpoint.base_url != version.base_url:
        raise EngineError(
            message(gettext_noop("the endpoint has moved since this version was made; make a new version"))
        )
    try:
        secret = endpoint_secret(endpoint)
    except SealError as error:
        raise EngineError(
            message(gettext_noop("the endpoint's key cannot be opened any more; enter it again"))
        ) from error
    return OpenAIEngine(
        base_url=endpoint.base_url,
        model=version.model,
        secret=secret,
        sampling=Sampling(**version.sampling),
        dialect=dialect_from_json(endpoint.capabilities),
        allow=settings.OUTBOUND_ALLOW,
        concurrency=endpoint.concurrency,
        deadline_s=float(endpoint.deadline_s),
    )


def _local(version: JudgeVersion) -> Engine:
    folder = model_folder(version.model)
    if folder_revision(folder) != version.revision:
        raise EngineError(
            message(
                gettext_noop("the model folder has changed since this version was made; make a new version")
            )
        )
    # By name, so that no module of a web process imports torch.
    module = importlib.import_module("judging.engines.local")
    engine: Engine = module.LocalEngine(folder, roots=model_roots())
    return engine


def _scorer(version: JudgeVersion) -> Engine:
    try:
        dotted = settings.PAIR_SCORERS[version.model]
    except KeyError as error:
        raise EngineError(
            message(gettext_noop("there is no pair scorer called %(name)s"), name=version.model)
        ) from error
    return ScorerEngine(import_string(dotted))
