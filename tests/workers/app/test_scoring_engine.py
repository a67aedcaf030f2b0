"""Which engine scores a project's responses, and what happens where vLLM does not give a model's scores."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from webapp.jobs.inline import run_inline
from webapp.jobs.models import Job
from workers.models import ModelState, RewardModel, Score
from workers.reward.errors import ConfigError, CorruptModelError
from workers.services import scoring

MODEL = SimpleNamespace(folder="models/1/1", project_id=1)


@pytest.fixture
def opened(monkeypatch):
    """What was asked to be opened; an engine in `refuses` raises."""
    asked: list[tuple[str, str]] = []
    refuses: dict[str, Exception] = {}

    def open_reward_model(folder, *, cache_dir, engine="transformers"):
        asked.append((folder, engine))
        if engine in refuses:
            raise refuses[engine]
        return SimpleNamespace(engine=engine, padded_because="it reads both ways" if engine != "vllm" else "")

    monkeypatch.setattr(scoring, "open_reward_model", open_reward_model)
    return SimpleNamespace(asked=asked, refuses=refuses)


def test_transformers_are_the_default_and_say_why_they_pad(opened):
    log = []
    assert scoring.scorer_open(MODEL, log=log.append).engine == "transformers"
    assert opened.asked == [(MODEL.folder, "transformers")]
    assert log == ["rows are padded: it reads both ways"]


def test_vllm_is_asked_where_the_setting_says_so(opened, settings):
    settings.SCORING_ENGINE = "vllm"
    log = []
    assert scoring.scorer_open(MODEL, log=log.append).engine == "vllm"
    assert log == []


def test_a_model_that_vllm_does_not_serve_is_scored_by_transformers_with_a_word_in_the_log(opened, settings):
    settings.SCORING_ENGINE = "vllm"
    opened.refuses["vllm"] = ConfigError("vLLM serves the mean alone")
    log = []
    assert scoring.scorer_open(MODEL, log=log.append).engine == "transformers"
    assert log[0] == "scored by transformers: vLLM serves the mean alone"
    opened.refuses["vllm"] = CorruptModelError("config.json differs")
    with pytest.raises(CorruptModelError):
        scoring.scorer_open(MODEL, log=log.append)


def test_a_starter_is_scored_whatever_the_engine(trained, settings):
    settings.SCORING_ENGINE = "vllm"
    before = Score.objects.count()
    Score.objects.all().delete()
    assert RewardModel.objects.get().state == ModelState.CHAMPION
    assert scoring.scoring_start(project=trained.project) is not None
    run_inline(Job.objects.get(kind="reward.score"), reraise=True)
    assert Score.objects.count() == before
