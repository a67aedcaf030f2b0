"""What a model reads of one response: asked for here, rendered by a job, since tokenizers bring torch with them.

The result lies in the job's own folder, which is removed some days after the job's end.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_noop

from labeling.models import Comparison, Project
from webapp.jobs.errors import PermanentJobError
from webapp.jobs.messages import message
from webapp.jobs.models import ACTIVE_STATES, Job
from webapp.jobs.services import job_enqueue
from webapp.users.models import User
from workers.errors import PreviewsBusy, ReadsNoTokens
from workers.models import ModelKind, RewardModel
from workers.pairs import to_messages
from workers.reading import shown
from workers.reward.errors import ModelUnavailableError
from workers.reward.scorers import settings_from_dict
from workers.reward.types import Message
from workers.services.training import checked_config
from workers.words import error_words, step_words

if TYPE_CHECKING:
    from webapp.jobs.context import JobContext

KIND = "reward.preview"
READ_TOKENS = (ModelKind.EMBEDDING, ModelKind.TRANSFORMER, ModelKind.DPO, ModelKind.PERPLEXITY)
FILE, PAGE_FILE = "preview.json", "preview-page.json"
ACTIVE_PREVIEWS = 10


@dataclass(frozen=True)
class Reader:
    """Who reads: a model of the project, or one that would be trained by these settings."""

    model: RewardModel | None = None
    kind: str = ""
    config: dict[str, Any] | None = None


@dataclass(frozen=True)
class Reading:
    """What is read: a response of the project, or a prompt and an answer that somebody typed."""

    comparison: Comparison | None = None
    side: str = "a"
    prompt: str = ""
    answer: str = ""


def preview_start(
    *, project: Project, reader: Reader, reading: Reading, created_by: User | None = None
) -> Job:
    """Enqueue a preview; one of the same that is under way is returned instead.

    Raises BadTrainingConfig for settings that no training would take, ReadsNoTokens, and PreviewsBusy while the
    project has `ACTIVE_PREVIEWS` others: each loads a tokenizer.
    """
    kind = reader.model.kind if reader.model else reader.kind
    if kind not in READ_TOKENS:
        raise ReadsNoTokens(kind)
    params: dict[str, Any] = {"project_id": project.pk}
    if reader.model is not None:
        params["model_id"] = reader.model.pk
    else:
        config = checked_config(project, reader.kind, reader.config or {})
        params |= {"kind": reader.kind, "config": config}
    if reading.comparison is not None:
        params |= {"comparison_id": reading.comparison.pk, "side": reading.side}
    else:
        params |= {"prompt": reading.prompt, "answer": reading.answer}
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        under_way = list(Job.objects.filter(project_id=project.pk, kind=KIND, state__in=ACTIVE_STATES))
        same = next((job for job in under_way if job.params == params), None)
        if same is None and len(under_way) >= ACTIVE_PREVIEWS:
            raise PreviewsBusy
        return same or job_enqueue(
            kind=KIND,
            params=params,
            project_id=project.pk,
            title=message(gettext_noop("What the model reads: %(project)s"), project=project.name),
            created_by=created_by,
        )


def run_preview(context: JobContext) -> dict[str, Any]:
    """The job: render, tokenize, and leave the result in the job's folder, whole and as its page shows it."""
    from workers.reward import preview

    context.progress(0, 1, step_words("preview"))
    messages, answer = _text(context.params)
    try:
        found = asdict(preview(_source(context.params), messages, answer))
    except ModelUnavailableError as error:  # somebody waits: the hub is not asked again
        raise PermanentJobError(error_words(error)) from error
    whole, page = context.checkpoint_dir / FILE, context.checkpoint_dir / PAGE_FILE
    for target, value in ((whole, found), (page, asdict(shown(found)))):
        target.with_suffix(".tmp").write_text(json.dumps(value), encoding="utf-8")
    with context.guarded():
        for target in (page, whole):
            target.with_suffix(".tmp").rename(target)
    return {"tokens": len(found["tokens"]), "template_hash": found["template_hash"]}


def _source(params: dict[str, Any]) -> Any:
    if "model_id" not in params:
        return settings_from_dict(params["kind"], params["config"])
    model = RewardModel.objects.filter(pk=params["model_id"]).first()
    if model is None:
        raise PermanentJobError(message(gettext_noop("The reward model of this job was deleted.")))
    return model.folder


def _text(params: dict[str, Any]) -> tuple[tuple[Message, ...], str]:
    if "comparison_id" not in params:
        prompt = params["prompt"]
        return ((Message("user", prompt),) if prompt else (), params["answer"])
    rows = Comparison.objects.select_related("prompt", "response_a", "response_b")
    found = rows.filter(pk=params["comparison_id"]).first()
    if found is None:
        raise PermanentJobError(message(gettext_noop("The comparison of this job was deleted.")))
    response = found.response_b if params["side"] == "b" else found.response_a
    return to_messages(found.prompt.messages), response.text


def preview_result(job: Job, name: str = FILE) -> dict[str, Any] | None:
    """What the job left behind (whole, or `PAGE_FILE`), or None before its end and after its folder was removed."""
    path = Path(settings.DATA_DIR) / "jobs" / str(job.uid) / name
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found
