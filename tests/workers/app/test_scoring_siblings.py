"""Scores of a model that compares the answers to one prompt: the same wherever a chunk ends, and after an import."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest

from labeling.hashing import response_hash
from labeling.models import Prompt, Response, Snapshot
from tests.workers.app.world import make_world
from workers.models import RewardModel, Score
from workers.reward.types import Callbacks, Item, Scores
from workers.services import scoring

pytestmark = pytest.mark.django_db


class LongerThanOthers:
    """Characters of a response less the mean of all answers to its prompt in one call."""

    compares_siblings = True
    kind = "pair"
    template_hash = "t"
    temperature = 1.0

    def __init__(self) -> None:
        self.calls: list[int] = []

    def score(self, items: Sequence[Item], *, callbacks: Callbacks | None = None) -> Scores:
        self.calls.append(len(items))
        sizes: dict[object, list[int]] = {}
        for item in items:
            sizes.setdefault(item.messages, []).append(len(item.response))
        value = np.array([len(i.response) - np.mean(sizes[i.messages]) for i in items], dtype=np.float32)
        n = len(items)
        return Scores(value, value[:, None], np.ones(n, np.int64), np.zeros(n, np.bool_))


@contextmanager
def free() -> Iterator[None]:
    yield


def answer(prompt: Prompt, length: int) -> Response:
    text = "x" * length
    return Response.objects.create(prompt=prompt, text=text, content_hash=response_hash(text))


def expected(model: RewardModel) -> dict[int, float]:
    found = {}
    for prompt in Prompt.objects.filter(project=model.project):
        lengths = {r.pk: len(r.text) for r in prompt.responses.all()}
        found |= {pk: n - sum(lengths.values()) / len(lengths) for pk, n in lengths.items()}
    return found


def stored(model: RewardModel) -> dict[int, float]:
    return dict(Score.objects.filter(reward_model=model).values_list("response_id", "value"))


def test_no_prompt_is_cut_by_a_chunk_and_a_new_answer_rescores_its_prompt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scoring, "CHUNK", 5)
    world = make_world(labeled=12, unlabeled=0)  # two answers each: a chunk of five would end in a prompt
    model = RewardModel.objects.create(
        project=world.project,
        number=1,
        kind="pair",
        path="none",
        snapshot=Snapshot.objects.create(project=world.project, number=1),
        code_version="x",
        template_hash="t",
    )
    prompts = list(Prompt.objects.filter(project=world.project).order_by("pk"))
    for length in range(1, 8):
        answer(prompts[3], length)  # more than a chunk, their ids beyond all others
    scorer = LongerThanOthers()
    told: list[int] = []
    done = scoring.score_project(model, scorer, guard=free, progress=lambda n, total, step: told.append(n))
    assert done.scored == told[-1] == Response.objects.count()
    assert stored(model) == pytest.approx(expected(model), abs=1e-4)
    assert max(scorer.calls) == 9
    assert sorted(scorer.calls)[-2] == 4

    answer(prompts[0], 500)
    scorer.calls.clear()
    again = scoring.score_project(model, scorer, guard=free, progress=lambda *_: None)
    assert (again.scored, scorer.calls) == (3, [3])
    assert stored(model) == pytest.approx(expected(model), abs=1e-4)
