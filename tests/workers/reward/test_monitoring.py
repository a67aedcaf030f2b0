"""Live figures of a run, as callbacks and as TensorBoard events, and what ends one."""

from __future__ import annotations

import dataclasses
import math
import sys

import pytest

from workers.reward import Callbacks, ConfigError, ScoresExplodedError, train
from workers.reward.tensorboard import TensorBoard
from workers.reward.transformer.checkpoint import checkpoints

from .builders import planted_pairs
from .transformers_small import CALM

RATED = [
    dataclasses.replace(p, p_chosen=0.5 if i % 5 == 0 else 1.0, ratings_chosen={"clear": i % 3})
    for i, p in enumerate(planted_pairs(40, validation=0.25))
]
CONFIG = dataclasses.replace(
    CALM, max_steps=3, barrier=0.01, ranking="rao_kupper", aspects=("clear",), evaluate_every=2
)


class Kept(Callbacks):
    def __init__(self):
        self.metrics, self.calls = {}, []

    def metric(self, step, values):
        self.metrics.setdefault(step, {}).update(values)

    def progress(self, done, total, message):
        self.calls.append("progress")

    def checkpointed(self):
        self.calls.append("checkpointed")


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    root, told = tmp_path_factory.mktemp("watched"), Kept()
    train("transformer", RATED, CONFIG, root / "m", callbacks=TensorBoard(root / "events", told))
    return root / "events", told


def test_every_figure_of_a_step_is_told(watched):
    first = watched[1].metrics[1]
    assert set(first) >= {
        "loss", "loss_ranking", "loss_centering", "loss_barrier", "loss_aspects", "accuracy", "margin",
        "score_min", "score_mean", "score_max", "grad_norm", "learning_rate", "tie_threshold", "pairs",
        "tokens", "pairs_per_second", "tokens_per_second", "padding_avoided", "memory_mb",
    }  # fmt: skip
    assert first["score_min"] < first["score_mean"] < first["score_max"]
    terms = sum(value for name, value in first.items() if name.startswith("loss_"))
    assert first["loss"] == pytest.approx(terms, rel=1e-5)
    # Both ends bound the mean margin of the pairs.
    assert abs(first["margin"]) <= first["score_max"] - first["score_min"]
    assert {"progress", "checkpointed"} <= set(watched[1].calls)


def test_tensorboard_reads_the_figures_back(watched):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, told = watched
    read = EventAccumulator(str(folder))
    read.Reload()
    tags = set(read.Tags()["scalars"])
    assert {
        "train/loss", "terms/loss_centering", "scores/score_max", "speed/padding_avoided", "train/grad_norm",
        "validation/validation_loss",
    } <= tags  # fmt: skip
    for tag, name in (("train/loss", "loss"), ("scores/score_min", "score_min")):
        events = {event.step: event.value for event in read.Scalars(tag)}
        assert events == pytest.approx(
            {step: values[name] for step, values in told.metrics.items()}, rel=1e-6
        )


def test_tensorboard_that_is_missing_is_said_at_once(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match="pip install tensorboard"):
        TensorBoard(tmp_path / "events")
    assert not (tmp_path / "events").exists()


def test_exploding_scores_stop_with_a_clear_word(tmp_path):
    told = Kept()
    wild = dataclasses.replace(
        CALM, learning_rate=0.9, clip_norm=1e9, warmup_share=0.0, centering=0.0, max_steps=60, weight_decay=0.0,
        checkpoint_every=1, score_limit=20.0,
    )  # fmt: skip
    with pytest.raises(ScoresExplodedError, match=r"mean size is .* at step \d+, beyond score_limit 20; try"):
        train("transformer", planted_pairs(40), wild, tmp_path / "m", callbacks=told)
    assert not (tmp_path / "m").exists()
    assert checkpoints(tmp_path / "m.work")
    sizes = [max(abs(v["score_min"]), abs(v["score_max"])) for v in told.metrics.values()]
    assert all(math.isfinite(size) for size in sizes)


def test_a_run_within_the_limit_is_not_stopped(watched):
    assert max(values.get("score_max", 0.0) for values in watched[1].metrics.values()) < 20.0
    assert max(watched[1].metrics) == 3
