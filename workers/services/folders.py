"""Where model folders lie, and how a trained one gets to its place exactly once."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from django.conf import settings

from workers.models import RewardModel
from workers.reward.api import open_reward_model
from workers.reward.folder import MANIFEST
from workers.reward.scorers import Scorer
from workers.reward.scorers.folder import open_written
from workers.services.verdicts import verdicts_for


def model_path(project_id: int, number: int) -> str:
    """Relative to the data folder."""
    return f"models/{project_id}/{number}"


def embeddings_folder(project_id: int) -> Path:
    """Where a project's states of frozen base models are kept between trainings; they go with the project."""
    return Path(settings.DATA_DIR) / "models" / str(project_id) / "embeddings"


def model_open(model: RewardModel) -> Scorer:
    """The model as a scorer, with its project's states at hand, or with its judge's verdicts as they are now. Raises
    what ``open_reward_model`` raises, and PermanentJobError where the judge was deleted."""
    verdicts = verdicts_for(model.kind, model.project_id, model.config)
    if verdicts is not None and (scorer := open_written(model.folder, verdicts=verdicts)) is not None:
        return scorer
    return open_reward_model(model.folder, cache_dir=embeddings_folder(model.project_id))


def place_model(source: Path, relative: str) -> Path:
    """Move a finished folder to its place by one rename, and return that place. Doing it again changes
    nothing.

    Raises FileNotFoundError when the folder is neither here nor there.
    """
    target = Path(settings.DATA_DIR) / relative
    if (target / MANIFEST).is_file():
        return target
    if not (source / MANIFEST).is_file():
        raise FileNotFoundError(f"the trained model is neither in {source.name} nor in {relative}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Another file system: copy beside the place, then rename.
        beside = target.with_name(f".{target.name}.tmp")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(source, beside)
        beside.rename(target)
    return target
