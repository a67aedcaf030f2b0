"""Scoring a project's responses in chunks that survive a kill, and asking for it as a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from labeling.models import Project, Response
from webapp.jobs.messages import message
from webapp.jobs.models import ACTIVE_STATES, Job, JobState
from webapp.jobs.services import job_enqueue
from webapp.users.models import User
from workers.models import ModelState, RewardModel, RunState, Score
from workers.pairs import responses_to_items
from workers.reward.api import open_reward_model
from workers.reward.errors import ConfigError
from workers.reward.types import Callbacks, RewardScorer, Scores
from workers.selectors.models import champion_of
from workers.services.folders import embeddings_folder

CHUNK = 512
FAILED_PAUSE_S = 3600
TICK_IDS = 20_000
Guard = Callable[[], AbstractContextManager[None]]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class ScoringResult:
    """`scored` responses in this call; `truncated` of them were cut."""

    scored: int = 0
    truncated: int = 0


def scoring_start(*, project: Project, created_by: User | None = None) -> Job | None:
    """Enqueue scoring with the champion and a new order of the queue.

    None when the project has no champion. While one such job still waits to begin, that one is returned: it
    will see every response there is.
    """
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        if champion_of(project) is None:
            return None
        waiting = Job.objects.filter(
            project_id=project.pk,
            kind="reward.score",
            state=JobState.QUEUED,
            cancel_requested_at__isnull=True,
        ).first()
        return waiting or job_enqueue(
            kind="reward.score",
            params={"project_id": project.pk},
            project_id=project.pk,
            title=message(
                gettext_noop("Score responses and re-order the queue: %(project)s"), project=project.name
            ),
            created_by=created_by,
        )


def scoring_tick(now: datetime | None = None) -> int:
    """Ask for scoring wherever a response has no score of its champion. Returns how many jobs were asked for.

    Each tick looks at the `TICK_IDS` newest response ids and, in turn, at as many of the older ones. A response
    that was committed late, below ids that have scores already, is so found with the next tick as a rule, and
    at the latest when the turn comes round: after a million responses, within fifty ticks. The cost is bounded
    whatever the number of responses and projects (0.05 to 0.2 s on a million). A project whose scoring failed within
    the hour is left alone, and so is one that trains: its run scores at its end.
    """
    ids = Response.objects.values_list("pk", flat=True)
    first, last = ids.order_by("pk").first(), ids.order_by("-pk").first()
    if first is None or last is None:
        return 0
    newest = max(first, last + 1 - TICK_IDS)
    behind = _behind(newest, last + 1)
    turns = -(-(newest - first) // TICK_IDS)
    if turns:
        minute = int((now or timezone.now()).timestamp() // 60)
        start = first + minute % turns * TICK_IDS
        behind |= _behind(start, min(start + TICK_IDS, newest))
    champions = RewardModel.objects.filter(pk__in=behind, state=ModelState.CHAMPION).exclude(
        project__training_runs__state=RunState.ACTIVE
    )
    return sum(_score(champion.project) for champion in champions.select_related("project").order_by("pk"))


def _behind(start: int, end: int) -> set[int]:
    """Champions that lack a score of some response with an id in [start, end)."""
    champions = Response.objects.filter(
        pk__gte=start, pk__lt=end, prompt__project__reward_models__state=ModelState.CHAMPION
    ).annotate(model=F("prompt__project__reward_models"))
    has_score = Score.objects.filter(reward_model=OuterRef("model"), response_id=OuterRef("pk"))
    return set(champions.filter(~Exists(has_score)).order_by().values_list("model", flat=True).distinct())


def _score(project: Project) -> bool:
    jobs = Job.objects.filter(project_id=project.pk, kind="reward.score")
    recently = timezone.now() - timedelta(seconds=FAILED_PAUSE_S)
    if jobs.filter(Q(state__in=ACTIVE_STATES) | Q(state=JobState.FAILED, finished_at__gt=recently)).exists():
        return False
    return scoring_start(project=project) is not None


def unscored(model: RewardModel) -> QuerySet[Response]:
    """Responses of the model's project that it has not scored yet, by id."""
    has_score = Score.objects.filter(reward_model=model, response_id=OuterRef("pk"))
    return Response.objects.filter(~Exists(has_score), prompt__project_id=model.project_id).order_by("pk")


def scorer_open(model: RewardModel, *, log: Callable[[str], None]) -> RewardScorer:
    """The model, run by the settings' engine, or by transformers where that engine does not give its scores."""
    kept, engine = embeddings_folder(model.project_id), settings.SCORING_ENGINE
    try:
        scorer = open_reward_model(model.folder, cache_dir=kept, engine=engine)
    except ConfigError as error:
        if engine == "transformers":
            raise
        log(f"scored by transformers: {error}")
        scorer = open_reward_model(model.folder, cache_dir=kept)
    if reason := getattr(scorer, "padded_because", ""):
        log(f"rows are padded: {reason}")
    return scorer


def score_project(
    model: RewardModel,
    scorer: RewardScorer,
    *,
    guard: Guard,
    progress: Progress,
    callbacks: Callbacks | None = None,
) -> ScoringResult:
    """Score everything unscored. Each chunk is one transaction under `guard`; a second call goes on from
    there.

    A scorer that says `compares_siblings` judges a response by the others of one call: it is given whole prompts, and
    a prompt with a new response is scored anew.
    """
    total = unscored(model).count()
    done = truncated = 0
    chunks = _whole_prompts if getattr(scorer, "compares_siblings", False) else _chunks
    for rows in chunks(model):
        scores = scorer.score(responses_to_items(rows), callbacks=callbacks)
        with guard():
            _upsert(model, rows, scores, scorer.template_hash)
        done += len(rows)
        truncated += int(scores.truncated.sum())
        progress(done, max(total, done), "score")
    return ScoringResult(done, truncated)


def _chunks(model: RewardModel) -> Iterator[list[Response]]:
    """What is unscored, `CHUNK` responses at a time."""
    last = 0
    while rows := list(unscored(model).filter(pk__gt=last).select_related("prompt")[:CHUNK]):
        yield rows
        last = rows[-1].pk


def _whole_prompts(model: RewardModel) -> Iterator[list[Response]]:
    """All responses of the prompts that have an unscored one, about `CHUNK` at a time and no prompt in two parts."""
    last = 0
    waiting = unscored(model).order_by("prompt_id").values_list("prompt_id", flat=True).distinct()
    while prompts := list(waiting.filter(prompt_id__gt=last)[:CHUNK]):
        sizes = Response.objects.filter(prompt_id__in=prompts).order_by("prompt_id").values("prompt_id")
        taken: list[int] = []
        size = 0
        for found in sizes.annotate(n=Count("pk")):
            if taken and size + found["n"] > CHUNK:
                break
            taken.append(found["prompt_id"])
            size += found["n"]
        yield list(Response.objects.filter(prompt_id__in=taken).select_related("prompt").order_by("pk"))
        last = taken[-1]


def _upsert(model: RewardModel, responses: list[Response], scores: Scores, template_hash: str) -> None:
    """Write scores; a score of the same model and response is replaced, never doubled."""
    heads = np.ascontiguousarray(scores.heads, dtype="<f4")  # (N, K)
    spread = heads.std(axis=1)
    rows = [
        Score(
            reward_model=model,
            response=response,
            value=float(scores.value[i]),
            std=float(spread[i]),
            heads=heads[i].tobytes(),
            n_tokens=int(scores.n_tokens[i]),
            is_truncated=bool(scores.truncated[i]),
            template_hash=template_hash,
        )
        for i, response in enumerate(responses)
    ]
    Score.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["reward_model", "response"],
        update_fields=["value", "std", "heads", "n_tokens", "is_truncated", "template_hash"],
    )
